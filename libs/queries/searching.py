"""Search: which orders a piece of text that somebody has at hand could belong to."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import asyncpg
from pydantic import Field

from orders import identifier
from queries.orders import MOST_ORDERS, OrderFilter, list_orders

# From the log, not from a read model: an order is found from its first event on.
_ORDER = """
SELECT event_type, recorded_at FROM order_events
WHERE tenant_id = $1 AND aggregate_id = $2 ORDER BY version DESC LIMIT 1
"""
_COMMAND = """
SELECT aggregate_id, command_type, code, version FROM command_outcomes
WHERE tenant_id = $1 AND command_id = $2
"""


class HitKind(StrEnum):
    """What a text was found to be."""

    order = "order"
    command = "command"
    product = "product"
    line = "line"


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that the text is."""

    kind: HitKind
    order_id: Annotated[UUID | None, Field(description="Null for a refused command that names no order.")]
    detail: Annotated[str, Field(examples=["confirmed, 4.95 EUR, 2026-03-01"])]


async def search(conn: asyncpg.Connection, tenant_id: str, text: str, *, limit: int = 20) -> list[Hit]:
    """Return what a tenant has under an id: an order, a command, and orders that ever had a product or line.

    Exact ids only, as whoever searches has them at hand: on a receipt, in a log, on a label. `limit` (1 to
    200) is for the orders with the product, and again for those with the line; the newest come first.
    Raises ValueError for another limit, asyncpg's UndefinedTableError as long as a read model has no tables,
    and EarlierVersion.
    """
    if not 1 <= limit <= MOST_ORDERS:
        raise ValueError(f"limit must be from 1 to {MOST_ORDERS}")
    text = text.strip()
    hits: list[Hit] = []
    try:
        as_id = UUID(text)
    except ValueError:
        pass
    else:
        hits += await _by_id(conn, tenant_id, as_id)
    try:
        identifier(text)
    except ValueError:
        # No product or line has it, and PostgreSQL would refuse some of it.
        return hits
    hits += await _with(conn, tenant_id, HitKind.product, OrderFilter(product_id=text), limit)
    hits += await _with(conn, tenant_id, HitKind.line, OrderFilter(line_id=text), limit)
    return hits


async def _by_id(conn: asyncpg.Connection, tenant_id: str, as_id: UUID) -> list[Hit]:
    hits = []
    newest = await conn.fetchrow(_ORDER, tenant_id, as_id)
    if newest is not None:
        detail = f"{newest['event_type']}, recorded at {newest['recorded_at'].isoformat()}"
        hits.append(Hit(HitKind.order, as_id, detail))
    command = await conn.fetchrow(_COMMAND, tenant_id, as_id)
    if command is not None:
        accepted = f"accepted, the order's version {command['version']}"
        came_of_it = accepted if command["code"] is None else f"refused, {command['code']}"
        hits.append(Hit(HitKind.command, command["aggregate_id"], f"{command['command_type']}: {came_of_it}"))
    return hits


async def _with(
    conn: asyncpg.Connection, tenant_id: str, kind: HitKind, wanted: OrderFilter, limit: int
) -> list[Hit]:
    found = await list_orders(conn, tenant_id, wanted, limit=limit)
    return [
        Hit(kind, order.order_id, f"{order.status}, {order.total} {order.currency}, {order.business_day}")
        for order in found.items
    ]
