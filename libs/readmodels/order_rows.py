"""The rows of single orders that a read model holds, of whatever shape."""

import json
from collections.abc import AsyncIterator, Collection
from typing import Any
from uuid import UUID

import asyncpg

from eventstore import StreamKey
from readmodels import ReadModel

# By each table's own collation, which only its own pages are compared by.
_KNOWN = """
WITH page AS MATERIALIZED (
    SELECT DISTINCT tenant_id, order_id FROM {table} WHERE (tenant_id, order_id) > ($1, $2)
    ORDER BY tenant_id, order_id LIMIT $3
)
SELECT p.tenant_id, p.order_id, e.known IS NOT NULL AS known
FROM page AS p
LEFT JOIN LATERAL (
    SELECT true AS known FROM public.order_events
    WHERE tenant_id = p.tenant_id AND aggregate_id = p.order_id AND version = 1
    LIMIT 1
) AS e ON true
ORDER BY p.tenant_id, p.order_id
"""
_ROWS = """
SELECT t.* FROM unnest($1::text[], $2::uuid[]) AS k (tenant_id, order_id)
JOIN {table} AS t USING (tenant_id, order_id)
"""
_PAGE = 2_000
_BEFORE_ALL = ("", UUID(int=0))

Rows = list[list[dict[str, Any]]]
"""An order's rows by table, a row's values by column."""


async def read_rows(
    conn: asyncpg.Connection, live: ReadModel, keys: Collection[StreamKey]
) -> dict[StreamKey, Rows]:
    """Return the rows of each order; an order without any is there too.

    What `ReadModel.rows` gives begins with the columns of the table of orders, what `EventRows.entries` gives
    with those of its entries' table, each in its order.
    """
    found: dict[StreamKey, Rows] = {key: [[] for _ in live.tables] for key in keys}
    for place, table in enumerate(live.tables):
        statement = await conn.prepare(_ROWS.format(table=table))
        types = {each.name: each.type.name for each in statement.get_attributes()}
        for record in await statement.fetch(*zip(*keys, strict=True)):
            row = {name: _decoded(value, types[name]) for name, value in record.items()}
            found[StreamKey(row["tenant_id"], row["order_id"])][place].append(row)
    return found


async def strangers(conn: asyncpg.Connection, live: ReadModel) -> AsyncIterator[StreamKey]:
    """Yield the orders that have rows but are not in the log, looked for in pages of a statement each."""
    for table in live.tables:
        after = _BEFORE_ALL
        while page := await conn.fetch(_KNOWN.format(table=table), *after, _PAGE):
            after = (page[-1]["tenant_id"], page[-1]["order_id"])
            for tenant_id, order_id, known in page:
                if not known:
                    yield StreamKey(tenant_id, order_id)


def _decoded(value: Any, type_name: str) -> Any:  # noqa: ANN401 - any column's value
    """Return a column's value, JSON as what it says: its text is PostgreSQL's own."""
    return json.loads(value) if value is not None and type_name in {"json", "jsonb"} else value
