"""What the query service's role sees of the database, and what the others do."""

import asyncpg
import pytest

from eventstore import LOGIN_ROLES, OWNER_ROLE
from integration.projector.order_log import OrderLog, order_key
from integration.tenants.catalogue import SERVICE, TENANTS, Connect, readable, tenants_seen

_SET_TENANT = "SELECT set_config('tillstream.tenant', $1, true)"
_PRIVILEGES = """
SELECT format('%s of %s', privilege, c.oid::regclass)
FROM pg_class AS c
CROSS JOIN unnest('{INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER, MAINTAIN}'::text[]) AS privilege
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid <> 'pg_settings'::regclass AND CASE
    WHEN privilege IN ('INSERT', 'UPDATE', 'REFERENCES') THEN has_any_column_privilege($1, c.oid, privilege)
    ELSE has_table_privilege($1, c.oid, privilege)
END
UNION ALL
SELECT format('%s of %s', privilege, c.oid::regclass)
FROM pg_class AS c CROSS JOIN unnest('{USAGE, UPDATE}'::text[]) AS privilege
WHERE c.relkind = 'S' AND has_sequence_privilege($1, c.oid, privilege)
UNION ALL
SELECT format('CREATE in %I', nspname) FROM pg_namespace WHERE has_schema_privilege($1, oid, 'CREATE')
UNION ALL
SELECT format('EXECUTE of %s', oid::regprocedure) FROM pg_proc
WHERE pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    AND has_function_privilege($1, oid, 'EXECUTE')
UNION ALL
SELECT format('member of %s', roleid::regrole) FROM pg_auth_members WHERE member = $1::regrole
UNION ALL
SELECT format('has member %s', member::regrole) FROM pg_auth_members WHERE roleid = $1::regrole
"""
_OPEN = """
SELECT oid::regclass::text FROM pg_class AS c
WHERE relkind = 'r' AND NOT (relrowsecurity AND relforcerowsecurity)
    AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant_id')
"""
_SHOWN = """
SELECT DISTINCT table_name::text AS name, column_name::text AS column
FROM information_schema.view_column_usage
WHERE view_schema = 'read_models' AND table_schema = 'projections' AND view_name <> 'freshness'
"""


@pytest.mark.usefixtures("filled")
async def test_without_a_tenant_of_its_own_the_query_service_sees_no_row(
    admin: asyncpg.Connection, connect: Connect
) -> None:
    """No relation with tenants shows a row where no tenant, an empty one or one without orders is set."""
    service = await connect(SERVICE)
    relations = [each.name for each in await readable(admin, SERVICE) if each.has_tenant]
    assert len(relations) > 5
    for tenant in (None, "", "store-3", "store-1%", "Store-1"):
        async with service.transaction():
            if tenant is not None:
                await service.execute(_SET_TENANT, tenant)
            seen = {name: await tenants_seen(service, name) for name in relations}
            assert not any(seen.values()), seen


@pytest.mark.usefixtures("filled")
async def test_the_query_service_sees_one_tenant_at_a_time(
    admin: asyncpg.Connection, connect: Connect
) -> None:
    """Every relation with tenants shows all rows of the one that is set, and of no other; then none again."""
    service = await connect(SERVICE)
    relations = [each.name for each in await readable(admin, SERVICE) if each.has_tenant]
    for tenant in TENANTS:
        async with service.transaction(isolation="repeatable_read", readonly=True):
            await service.execute(_SET_TENANT, tenant)
            for name in relations:
                there = await tenants_seen(admin, name)
                assert there.keys() == set(TENANTS), f"{name} holds nothing to keep apart"
                assert await tenants_seen(service, name) == {tenant: there[tenant]}, name
    assert not any([await tenants_seen(service, name) for name in relations])


@pytest.mark.usefixtures("filled")
async def test_no_table_with_tenants_is_left_out(admin: asyncpg.Connection) -> None:
    """Row-level security is on, and forced, for every table with tenants, whoever may read it."""
    assert await admin.fetch(_OPEN) == []


@pytest.mark.usefixtures("filled")
async def test_what_the_query_service_reads_of_no_tenant_names_none(
    admin: asyncpg.Connection, connect: Connect
) -> None:
    """Beside tenants' rows it reads how read models stand and what waits: these columns, and no others."""
    found = {each.name: each.columns for each in await readable(admin, SERVICE) if not each.has_tenant}
    assert found == {
        "operations.builds": [
            "advanced_at",
            "finished_at",
            "generation",
            "id",
            "kind",
            "orders_done",
            "orders_total",
            "read_model",
            "requested_at",
            "started_at",
            "state",
            "version",
        ],
        "operations.pauses": ["action_id", "cause", "paused_at", "read_model"],
        "projections.checkpoints": [
            "advanced_at",
            "epoch",
            "generation",
            "next_offset",
            "partition",
            "read_model",
            "refolding",
            "replay_until",
            "topic",
            "topic_id",
        ],
        "projections.generations": [
            "complete_until",
            "created_at",
            "drop_requested",
            "generation",
            "read_model",
            "state",
            "version",
        ],
        "public.outbox": ["created_at", "id"],
        "read_models.freshness": [
            "complete_until",
            "era",
            "generation",
            "positions",
            "read_model",
            "watermark",
        ],
    }
    service = await connect(SERVICE)
    for name, columns in found.items():
        rows = await service.fetch(f"SELECT {', '.join(columns)} FROM {name}")  # noqa: S608 - names of the catalogue
        assert rows
        assert not any(tenant in str(tuple(row)) for row in rows for tenant in TENANTS)


@pytest.mark.usefixtures("filled")
async def test_the_query_service_changes_nothing(admin: asyncpg.Connection, connect: Connect) -> None:
    """It may write no column, make nothing, run no function of ours, and belongs to no other role."""
    may = [row[0] for row in await admin.fetch(_PRIVILEGES, f"tillstream_{SERVICE}")]
    assert may == []
    service = await connect(SERVICE)
    for change in (
        "DELETE FROM order_events",
        "UPDATE projections.order_summary_1 SET total = 0",
        "UPDATE read_models.order_summary SET status = 'open'",
        "INSERT INTO order_snapshots SELECT * FROM order_snapshots",
        "CREATE TABLE projections.mine ()",
        "SELECT * FROM order_events FOR UPDATE",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(change)


@pytest.mark.usefixtures("filled")
async def test_the_query_service_becomes_nobody_else(connect: Connect) -> None:
    """It can't take another role, nor switch off what keeps the tenants apart, nor take it away."""
    service = await connect(SERVICE)
    for role in {*LOGIN_ROLES, OWNER_ROLE, "postgres"} - {f"tillstream_{SERVICE}"}:
        for statement in (f"SET ROLE {role}", f"SET SESSION AUTHORIZATION {role}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service.execute(statement)
    for statement in (
        "ALTER TABLE order_events DISABLE ROW LEVEL SECURITY",
        "DROP POLICY own_tenant ON order_events",
        f"ALTER ROLE tillstream_{SERVICE} BYPASSRLS",
        "CREATE POLICY mine ON projections.order_summary_1 USING (true)",
        "ALTER VIEW read_models.sales SET (security_invoker = false)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(statement)
    await service.execute("SET row_security = off")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await service.fetch("SELECT * FROM order_events")


@pytest.mark.usefixtures("filled")
async def test_who_works_for_all_tenants_sees_them_all(admin: asyncpg.Connection, connect: Connect) -> None:
    """Every other role sees all rows of every relation with tenants that it may read."""
    for role in (role.removeprefix("tillstream_") for role in LOGIN_ROLES):
        if role == SERVICE:
            continue
        conn = await connect(role)
        relations = [each.name for each in await readable(admin, role) if "tenant_id" in each.columns]
        assert relations
        for name in relations:
            assert await tenants_seen(conn, name) == await tenants_seen(admin, name), f"{role}: {name}"


@pytest.mark.usefixtures("filled")
async def test_readers_get_beneath_a_view_what_it_shows(admin: asyncpg.Connection, connect: Connect) -> None:
    """Of read models' tables readers may read the columns that views show, not where rows came from."""
    shown: dict[str, set[str]] = {}
    for name, column in await admin.fetch(_SHOWN):
        shown.setdefault(f"projections.{name}", set()).add(column)
    assert not any({"partition", "last_offset"} & columns for columns in shown.values())
    books = {f"projections.{name}" for name in ("generations", "checkpoints", "parked")}
    for role in ("analyst", "query", SERVICE):
        found = {
            each.name: set(each.columns)
            for each in await readable(admin, role)
            if each.name.startswith("projections.") and each.name not in books
        }
        assert found == shown, role
        conn = await connect(role)
        for relation in ("projections.order_summary_1", "projections.sales_1_orders"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.fetch(f"SELECT * FROM {relation}")  # noqa: S608 - a name of the line above


async def test_a_question_of_one_tenant_goes_by_its_index(filled: OrderLog, connect: Connect) -> None:
    """The condition that keeps tenants apart finds rows by the indexes that begin with the tenant."""
    assert filled.orders
    service = await connect(SERVICE)
    await service.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
    tenant, order_id = order_key("sold")
    async with service.transaction():
        await service.execute(_SET_TENANT, tenant)
        for question in (
            "SELECT * FROM order_events WHERE tenant_id = $1 AND aggregate_id = $2 ORDER BY version",
            "SELECT * FROM read_models.order_summary WHERE tenant_id = $1 AND order_id = $2",
        ):
            statement = await service.prepare(question)
            plan = str(await statement.explain(tenant, order_id))
            condition = plan[plan.index("'Index Cond'") :]
            assert tenant in condition, plan
            assert str(order_id) in condition, plan
        # Even a question that forgets to name its tenant.
        (plan,) = await service.fetchrow("EXPLAIN (FORMAT JSON) SELECT count(*) FROM order_events")
        assert "(tenant_id = current_setting" in plan
        assert "Index Cond" in plan
