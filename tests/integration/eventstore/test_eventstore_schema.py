import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from eventstore import (
    LOGIN_ROLES,
    OWNER_ROLE,
    Batch,
    Connection,
    MigrationRefused,
    Tables,
    migrate,
    set_passwords,
)
from integration.eventstore.tallies import STORE, appending, message, refusal, snapshot, stream

SERVICES = [role.removeprefix("tillstream_") for role in LOGIN_ROLES]
INSERT_ONLY = ["order_events", "tally_events", "command_outcomes"]
_GUARDS = """
SELECT concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attcollation,
    attacl)
FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0
UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::text::regclass
UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename = $1
UNION ALL SELECT concat(pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE tgrelid = $1::text::regclass
UNION ALL SELECT to_jsonb(p)::text FROM pg_policies AS p WHERE tablename = $1
UNION ALL SELECT acl::text FROM pg_class CROSS JOIN unnest(relacl) AS acl WHERE oid = $1::text::regclass
UNION ALL SELECT concat(relowner::regrole, relrowsecurity, relforcerowsecurity, reloptions) FROM pg_class
WHERE oid = $1::text::regclass
ORDER BY 1
"""
CHANGES = ["UPDATE {} SET version = 7", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
ALTERATIONS = [
    "ALTER TABLE {} DISABLE TRIGGER ALL",
    "ALTER TABLE {} DROP COLUMN actor",
    "ALTER TABLE {} OWNER TO CURRENT_USER",
    "DROP TABLE {}",
]


@pytest_asyncio.fixture
async def empty(postgres_server: Any) -> AsyncIterator[str]:
    """Give the address of a database that nothing was migrated in."""
    name = f"tillstream_empty_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(postgres_server.dsn("postgres"))
    await admin.execute(f"CREATE DATABASE {name}")
    yield postgres_server.dsn(name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest_asyncio.fixture
async def stored(conn: Connection) -> None:
    """Have a row in each of the event store's tables."""
    key = stream()
    await STORE.append(conn, Batch(appends=[appending(key)], outcomes=[refusal(key)], messages=[message()]))
    await snapshot(conn, key, 1)


async def test_migrations_are_applied_once(empty: str) -> None:
    """A second migration finds nothing to do, and the numbered files were applied in their order."""
    conn = await asyncpg.connect(empty)
    applied = await migrate(conn)
    assert applied == sorted(applied)
    assert applied[0] == "0001_roles.sql"
    assert await migrate(conn) == []
    await conn.close()


async def test_concurrent_migrations_do_the_work_once(empty: str) -> None:
    """Of several migrations at a time one applies the files and the others wait for it."""
    connections = [await asyncpg.connect(empty) for _ in range(4)]
    results = await asyncio.gather(*(migrate(connection) for connection in connections))
    assert sorted(map(len, results))[:-1] == [0, 0, 0]
    assert "0002_order_events.sql" in max(results, key=len)
    for connection in connections:
        await connection.close()


async def test_an_edited_migration_is_refused(admin: Connection) -> None:
    """A file that is no longer the one applied stops the migration."""
    await admin.execute("UPDATE schema_migrations SET sha256 = 'x' WHERE name = '0002_order_events.sql'")
    with pytest.raises(MigrationRefused, match="0002_order_events"):
        await migrate(admin)


async def test_a_newer_schema_is_refused(admin: Connection) -> None:
    """A database that a newer build has migrated is not one this build may work on."""
    await admin.execute("INSERT INTO schema_migrations (name, sha256) VALUES ('9999_newer.sql', 'x')")
    with pytest.raises(MigrationRefused, match="newer build"):
        await migrate(admin)


@pytest.mark.parametrize("table", INSERT_ONLY)
@pytest.mark.usefixtures("stored")
async def test_no_role_of_a_service_changes_the_log(database: Any, table: str) -> None:
    """UPDATE, DELETE, TRUNCATE and ALTER of events and outcomes fail as every role a service logs in with."""
    for role in SERVICES:
        connection = await asyncpg.connect(database.dsn(role))
        for alteration in ALTERATIONS:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="must be owner"):
                await connection.execute(alteration.format(table))
        for change in CHANGES:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await connection.execute(change.format(table))
        await connection.close()


@pytest.mark.parametrize("table", INSERT_ONLY)
@pytest.mark.usefixtures("stored")
async def test_the_superuser_does_not_change_the_log_either(admin: Connection, table: str) -> None:
    """The trigger refuses what grants can't: changes by the superuser, a replica and the owner."""
    count = f"SELECT count(*) FROM {table}"  # noqa: S608 - a name of this file
    before = await admin.fetchval(count)
    for preparation in (
        "SELECT",
        "SET session_replication_role = replica",
        f"RESET session_replication_role; SET ROLE {OWNER_ROLE}",
    ):
        await admin.execute(preparation)
        for change in CHANGES:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f" on {table} is refused"):
                await admin.execute(change.format(table))
    await admin.execute("RESET ROLE")
    assert await admin.fetchval(count) == before


async def test_each_role_has_its_least_privileges(admin: Connection) -> None:
    """Each role may do on each table what its service's work needs and no more; the public may nothing."""
    rows = await admin.fetch(
        """
        SELECT acl.grantee::regrole::text AS role, c.relname AS name,
            string_agg(acl.privilege_type, ' ' ORDER BY acl.privilege_type) AS privileges
        FROM pg_class AS c
        CROSS JOIN aclexplode(c.relacl) AS acl
        WHERE c.relnamespace = 'public'::regnamespace AND acl.grantee <> c.relowner
        GROUP BY 1, 2
        """
    )
    granted = {(row["role"].removeprefix("tillstream_"), row["name"]): row["privileges"] for row in rows}
    tables = {
        ("command_service", "events"): "INSERT SELECT",
        ("command_service", "snapshots"): "INSERT SELECT",
        ("projector", "events"): "SELECT",
        ("projector", "snapshots"): "SELECT",
        ("query", "events"): "SELECT",
        ("query", "snapshots"): "SELECT",
        ("query_service", "events"): "SELECT",
        ("query_service", "snapshots"): "SELECT",
        ("operator", "events"): "SELECT",
        ("operator", "snapshots"): "SELECT",
        ("analyst", "events"): "SELECT",
    }
    assert granted == {
        **{(role, f"order_{table}"): privileges for (role, table), privileges in tables.items()},
        **{(role, f"tally_{table}"): privileges for (role, table), privileges in tables.items()},
        ("command_service", "command_outcomes"): "INSERT SELECT",
        ("command_service", "outbox"): "INSERT",
        ("outbox_relay", "outbox"): "DELETE SELECT",
        ("projector", "refused_commands"): "SELECT",
        ("query", "command_outcomes"): "SELECT",
        ("query", "refused_commands"): "SELECT",
        ("query_service", "command_outcomes"): "SELECT",
        ("query_service", "refused_commands"): "SELECT",
        ("operator", "command_outcomes"): "SELECT",
        ("operator", "refused_commands"): "SELECT",
        ("operator", "schema_migrations"): "SELECT",
        ("analyst", "refused_commands"): "SELECT",
    }


@pytest.mark.parametrize("table", ["events", "snapshots"])
async def test_another_aggregate_types_tables_are_as_the_orders(admin: Connection, table: str) -> None:
    """Columns, keys, triggers, policies and grants are the same but for the name, made once or twice."""
    orders = [row[0] for row in await admin.fetch(_GUARDS, f"order_{table}")]
    assert any("tillstream_query_service" in guard for guard in orders)
    for _ in range(2):
        tallies = [row[0].replace("tally_", "order_") for row in await admin.fetch(_GUARDS, f"tally_{table}")]
        assert sorted(tallies) == sorted(orders)
        await admin.execute("SELECT make_event_tables('order'), make_event_tables('tally')")
    assert [row[0] for row in await admin.fetch(_GUARDS, f"order_{table}")] == orders


@pytest.mark.parametrize("name", ["", "Tally", "tally; DROP TABLE outbox", "t" * 41])
async def test_only_a_plain_name_names_tables(admin: Connection, name: str) -> None:
    """What is no plain identifier is refused, by the database and before it is asked."""
    with pytest.raises(asyncpg.InvalidNameError):
        await admin.execute("SELECT make_event_tables($1)", name)
    with pytest.raises(ValueError, match="can't name tables"):
        Tables(name)


async def test_no_service_makes_tables_of_an_aggregate_type(database: Any) -> None:
    """To make them is the migration's."""
    for role in SERVICES:
        connection = await asyncpg.connect(database.dsn(role))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT make_event_tables('mine')")
        await connection.close()


@pytest.mark.usefixtures("stored")
async def test_a_query_service_sees_of_another_aggregate_type_its_own_tenants(
    database: Any, conn: Connection
) -> None:
    """Row-level security holds on the new tables too: without a tenant there is nothing to see."""
    key = stream("store-2")
    await STORE.append(conn, Batch(appends=[appending(key)]))
    await snapshot(conn, key, 1)
    service = await asyncpg.connect(database.dsn("query_service"))
    for table in ("tally_events", "tally_snapshots"):
        for tenant, seen in (("", []), ("store-3", []), ("store-2", ["store-2"]), ("store-1", ["store-1"])):
            await service.execute("SELECT set_config('tillstream.tenant', $1, false)", tenant)
            rows = await service.fetch(f"SELECT tenant_id FROM {table}")  # noqa: S608 - a name of this file
            assert [row["tenant_id"] for row in rows] == seen
    await service.close()


@pytest.mark.parametrize(
    ("table", "forged"),
    [
        ("actions", {"role": "tillstream_owner", "actor": "a", "action": "b", "arguments": "{}"}),
        ("actions", {"started_at": "2020-01-01", "actor": "a", "action": "b", "arguments": "{}"}),
        ("results", {"finished_at": "2020-01-01", "action_id": "1", "outcome": "done", "details": "{}"}),
        (
            "dead_letter_decisions",
            {"decided_at": "2020-01-01", "action_id": "1", "dead_letter_id": "a", "decision": "resolved"},
        ),
        ("builds", {"state": "swapped", "read_model": "sales", "kind": "rebuild", "version": "1"}),
    ],
)
async def test_an_operator_does_not_choose_what_the_record_says_of_them(
    database: Any, table: str, forged: dict[str, str]
) -> None:
    """Times, roles and what became of it are the database's and the services' to write."""
    columns, values = ", ".join(forged), ", ".join(f"'{value}'" for value in forged.values())
    operator = await asyncpg.connect(database.dsn("operator"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match=table):
        await operator.execute(f"INSERT INTO operations.{table} ({columns}) VALUES ({values})")  # noqa: S608 - ours
    await operator.close()


async def test_what_holds_commands_back_is_the_services_to_say_and_the_operators_to_end(
    database: Any, admin: Connection
) -> None:
    """A service chooses neither time nor release of a hold; an operator changes no more than the release."""
    columns = await admin.fetch(
        """
        SELECT role, privilege, string_agg(attname, ' ' ORDER BY attnum) AS columns
        FROM pg_attribute CROSS JOIN (VALUES ('operator'), ('command_service')) AS roles (role)
        CROSS JOIN (VALUES ('INSERT'), ('UPDATE')) AS kinds (privilege)
        WHERE attrelid = 'operations.holds'::regclass AND attnum > 0
        AND has_column_privilege('tillstream_' || role, attrelid, attnum, privilege) GROUP BY 1, 2 ORDER BY 1
        """
    )
    assert [tuple(row) for row in columns] == [
        ("command_service", "INSERT", "topic partition source first_offset reason"),
        ("operator", "UPDATE", "released_to released_by"),
    ]
    service = await asyncpg.connect(database.dsn("command_service"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute("SELECT * FROM operations.actions")
    await service.close()


async def test_a_projector_reads_of_operations_what_it_acts_on(admin: Connection) -> None:
    """Who did what is none of a projector's business; what it may make is an upgrade."""
    tables = await admin.fetch(
        """
        SELECT relname FROM pg_class WHERE relnamespace = 'operations'::regnamespace AND relkind = 'r'
        AND has_table_privilege('tillstream_projector', oid, 'SELECT') ORDER BY 1
        """
    )
    assert [row["relname"] for row in tables] == ["builds", "pauses", "replays"]
    columns = await admin.fetch(
        """
        SELECT attname FROM pg_attribute
        WHERE attrelid = 'operations.builds'::regclass AND attnum > 0
        AND has_column_privilege('tillstream_projector', attrelid, attnum, 'INSERT') ORDER BY 1
        """
    )
    assert [row["attname"] for row in columns] == ["kind", "read_model", "version"]


async def test_the_tables_owner_cannot_log_in(admin: Connection) -> None:
    """Tables, sequences and functions belong to a role that can't log in and has no members."""
    assert await admin.fetchval("SELECT rolcanlogin FROM pg_roles WHERE rolname = $1", OWNER_ROLE) is False
    owners = await admin.fetch(
        """
        SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
        UNION
        SELECT proowner::regrole::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        """
    )
    assert [row["owner"] for row in owners] == [OWNER_ROLE]
    members = await admin.fetch("SELECT * FROM pg_auth_members WHERE roleid = $1::text::regrole", OWNER_ROLE)
    assert members == []


async def test_service_roles_have_no_powers_of_the_cluster(admin: Connection) -> None:
    """A service's role logs in and is nothing more: no superuser, no maker of roles or databases."""
    rows = await admin.fetch(
        """
        SELECT rolname, rolcanlogin,
            rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS powerful
        FROM pg_roles WHERE rolname = ANY($1::text[])
        """,
        list(LOGIN_ROLES),
    )
    assert {tuple(row) for row in rows} == {(role, True, False) for role in LOGIN_ROLES}


async def test_readers_see_the_projectors_views_and_not_its_tables(database: Any) -> None:
    """The projector makes tables and views; query and analyst may read the views, the relay may not."""
    projector = await asyncpg.connect(database.dsn("projector"))
    await projector.execute("CREATE TABLE projections.sums AS SELECT 42 AS total")
    await projector.execute("CREATE VIEW read_models.sums AS SELECT total FROM projections.sums")
    await projector.close()
    for role in ("query", "analyst"):
        reader = await asyncpg.connect(database.dsn(role))
        assert await reader.fetchval("SELECT total FROM read_models.sums") == 42
        for refused in ("SELECT total FROM projections.sums", "CREATE TABLE read_models.mine ()"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.execute(refused)
        await reader.close()
    relay = await asyncpg.connect(database.dsn("outbox_relay"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await relay.execute("SELECT total FROM read_models.sums")
    await relay.close()


async def test_no_service_makes_tables_of_its_own_in_public(database: Any) -> None:
    """Where the log lies, nobody but the migration makes anything."""
    for role in SERVICES:
        connection = await asyncpg.connect(database.dsn(role))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE public.mine ()")
        await connection.close()


async def test_a_stranger_is_not_let_in(empty: str) -> None:
    """A role that isn't ours may not even connect to a migrated database."""
    admin = await asyncpg.connect(empty)
    await migrate(admin)
    to_public = """
        SELECT bool_or(grantee = 0)
        FROM pg_database CROSS JOIN aclexplode(datacl)
        WHERE datname = current_database()
    """
    assert await admin.fetchval(to_public) is False
    await admin.close()


async def test_passwords_reach_the_server_as_verifiers_only(admin: Any) -> None:
    """A password that was set logs in, is kept as a SCRAM verifier, and stands in no statement."""
    role, password = f"tillstream_{SERVICES[-1]}", "correct 'horse' battery"
    transaction = admin.transaction()  # roles are the whole cluster's: other tests go on with their passwords
    await transaction.start()
    statements: list[str] = []
    with admin.query_logger(lambda record: statements.append(record.query)):
        await set_passwords(admin, {role: password})
        kept = await admin.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", role)
    assert kept.startswith("SCRAM-SHA-256$4096:")
    assert any(kept in statement for statement in statements)
    assert not any("horse" in statement for statement in statements)
    await transaction.rollback()


@pytest.mark.parametrize(
    ("role", "password"),
    [("postgres", "x"), (OWNER_ROLE, "x"), (LOGIN_ROLES[0], ""), (LOGIN_ROLES[0], "пароль")],
)
async def test_other_roles_and_other_passwords_are_refused(
    admin: Connection, role: str, password: str
) -> None:
    """Only roles that services log in with get a password, and only one that needs no SASLprep."""
    with pytest.raises(ValueError, match=role):
        await set_passwords(admin, {role: password})
