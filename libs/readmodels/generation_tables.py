"""The tables of one generation, found by their names, and the views of a read model: who may read what."""

import re
from collections.abc import Sequence

import asyncpg

from readmodels.described_views import describe, undescribed

# All tables of a generation are named `<read model>_<generation>`, or so with more behind.
_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'projections'::regnamespace AND relkind = 'r' AND relname ~ ('^' || $1 || '(_.*)?$')
ORDER BY relname
"""
_RELATIONS = """
SELECT relname FROM pg_class WHERE relnamespace = 'projections'::regnamespace AND relname = ANY ($1)
"""
_COMMENT = re.compile(r"--.*")
_MAKES = re.compile(r"CREATE (?:TABLE|(?:UNIQUE )?INDEX) IF NOT EXISTS (?:projections\.)?(?P<name>\w+)")
_UNPROTECTED = """
SELECT quote_ident(relname) AS name FROM pg_class AS c
WHERE relnamespace = 'projections'::regnamespace AND relname = ANY ($1)
    AND NOT (relrowsecurity AND relforcerowsecurity AND ARRAY['all_tenants', 'own_tenant']::name[] <@ ARRAY(
        SELECT polname FROM pg_policy WHERE polrelid = c.oid
    ))
"""
# As the event store's own tables, by its migration 0013. FORCE: for the projector too, whose tables they are.
_KEEP_APART = """
ALTER TABLE projections.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS all_tenants ON projections.{table};
DROP POLICY IF EXISTS own_tenant ON projections.{table};
CREATE POLICY all_tenants ON projections.{table}
    TO tillstream_projector, tillstream_query, tillstream_operator, tillstream_analyst USING (true);
CREATE POLICY own_tenant ON projections.{table} FOR SELECT
    TO tillstream_query_service USING (tenant_id = current_setting('tillstream.tenant', true));
"""
_PUBLISHED = """
SELECT count(*) = cardinality($1::name[]) FROM pg_class
WHERE relnamespace = 'read_models'::regnamespace AND relname = ANY ($1)
    AND 'security_invoker=true' = ANY (reloptions)
    AND has_table_privilege('tillstream_query_service', oid, 'SELECT')
"""
_COLUMNS = """
SELECT quote_ident(table_name) AS name, string_agg(quote_ident(column_name), ', ') AS columns
FROM information_schema.view_column_usage
WHERE view_schema = 'read_models' AND view_name = ANY ($1) AND table_schema = 'projections'
GROUP BY table_name
"""


async def tables_of(conn: asyncpg.Connection, read_model: str, generation: int) -> dict[str, str]:
    """Return a generation's tables in the schema `projections`, by what follows the generation's number."""
    stem = f"{read_model}_{generation}"
    return {row["relname"].removeprefix(stem): row["relname"] for row in await conn.fetch(_TABLES, stem)}


async def make_missing(conn: asyncpg.Connection, tables_sql: str) -> None:
    """Make those tables and indexes in the schema `projections` that are not there; lock no others.

    `CREATE INDEX IF NOT EXISTS` locks its table against writers also where the index is there, so that a
    start could wait for a running batch, and a batch for it. Other statements run where something was made.
    """
    statements = [each.strip() for each in _COMMENT.sub("", tables_sql).split(";") if each.strip()]
    names = [(found["name"] if (found := _MAKES.match(each)) else None) for each in statements]
    there = {row["relname"] for row in await conn.fetch(_RELATIONS, [name for name in names if name])}
    if there.issuperset(filter(None, names)):
        return
    for name, statement in zip(names, statements, strict=True):
        if name not in there:
            await conn.execute(statement)


async def keep_tenants_apart(conn: asyncpg.Connection, read_model: str, generation: int) -> None:
    """Have the query service see one tenant's rows of each table, all others those of every tenant.

    Locks only tables that lack it: new ones, and those an earlier build made. Raises UndefinedColumnError for
    a table without `tenant_id`.
    """
    tables = list((await tables_of(conn, read_model, generation)).values())
    for row in await conn.fetch(_UNPROTECTED, tables):
        await conn.execute(_KEEP_APART.format(table=row["name"]))


async def are_published(conn: asyncpg.Connection, views: Sequence[str]) -> bool:
    """Tell whether these views are there, as `open_to_readers` leaves them: an earlier build's are not."""
    return bool(await conn.fetchval(_PUBLISHED, views)) and not await undescribed(conn, views)


async def open_to_readers(conn: asyncpg.Connection, views: Sequence[str]) -> None:
    """Have views read by the rights of who asks, and let our readers read the columns they show, no others.

    And have them say what they show. For the views' owner, after each `CREATE OR REPLACE`, which forgets the
    first. Who may read the views themselves, the schema's default privileges say; but the query service must
    not before they are so.
    """
    for view in views:
        await conn.execute(f'ALTER VIEW read_models."{view}" SET (security_invoker = true)')
        await conn.execute(f'GRANT SELECT ON read_models."{view}" TO tillstream_query_service')
    await describe(conn, views)
    for table, columns in await conn.fetch(_COLUMNS, views):
        await conn.execute(
            f"GRANT SELECT ({columns}) ON projections.{table}"
            " TO tillstream_query, tillstream_analyst, tillstream_query_service"
        )
