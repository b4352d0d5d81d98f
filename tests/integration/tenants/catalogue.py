"""What a role may reach, by PostgreSQL's own catalogue: what is added later is found too."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import asyncpg

TENANTS = ("store-1", "store-2")
SERVICE = "query_service"

Connect = Callable[..., Awaitable[asyncpg.Connection]]

_READABLE = """
SELECT format('%I.%I', n.nspname, c.relname) AS name,
    array_agg(a.attname::text ORDER BY a.attname)
        FILTER (WHERE has_column_privilege($1, c.oid, a.attnum, 'SELECT')) AS columns,
    bool_or(a.attname = 'tenant_id') AS has_tenant
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'
    AND has_schema_privilege($1, n.oid, 'USAGE') AND has_any_column_privilege($1, c.oid, 'SELECT')
GROUP BY 1 ORDER BY 1
"""


class Readable(NamedTuple):
    """A table or view, the columns of it that a role may read, and whether its rows are tenants'."""

    name: str
    columns: list[str]
    has_tenant: bool


async def readable(admin: asyncpg.Connection, role: str) -> list[Readable]:
    """Return all tables and views of which a role may read anything."""
    return [Readable(*row) for row in await admin.fetch(_READABLE, f"tillstream_{role}")]


async def tenants_seen(conn: asyncpg.Connection, relation: str) -> dict[str, int]:
    """Return tenant → the number of rows that the connection sees of it."""
    rows = await conn.fetch(f"SELECT tenant_id, count(*) FROM {relation} GROUP BY 1")  # noqa: S608 - a name of the catalogue
    return {row[0]: row[1] for row in rows}
