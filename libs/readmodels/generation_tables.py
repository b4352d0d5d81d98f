"""The tables of one generation: found by their names, and with their tenants kept apart."""

import asyncpg

# All tables of a generation are named `<read model>_<generation>`, or so with more behind.
_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'projections'::regnamespace AND relkind = 'r' AND relname ~ ('^' || $1 || '(_.*)?$')
ORDER BY relname
"""
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


async def tables_of(conn: asyncpg.Connection, read_model: str, generation: int) -> dict[str, str]:
    """Return a generation's tables in the schema `projections`, by what follows the generation's number."""
    stem = f"{read_model}_{generation}"
    return {row["relname"].removeprefix(stem): row["relname"] for row in await conn.fetch(_TABLES, stem)}


async def keep_tenants_apart(conn: asyncpg.Connection, read_model: str, generation: int) -> None:
    """Have the query service see one tenant's rows of each table, all others those of every tenant.

    Locks only tables that lack it: new ones, and those an earlier build made. Raises UndefinedColumnError for
    a table without `tenant_id`.
    """
    tables = list((await tables_of(conn, read_model, generation)).values())
    for row in await conn.fetch(_UNPROTECTED, tables):
        await conn.execute(_KEEP_APART.format(table=row["name"]))
