"""What the read models should hold and what they do."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import asyncpg

from orders import Order
from readmodels import READ_MODELS

NAMES = sorted(READ_MODELS)


async def rows(conn: asyncpg.Connection, name: str) -> list[tuple[Any, ...]]:
    found = await conn.fetch(f"SELECT * FROM read_models.{name} ORDER BY 1, 2, 3, 4, 5")  # noqa: S608 - ours
    return [tuple(row) for row in found]


async def kept(conn: asyncpg.Connection, name: str) -> list[tuple[Any, ...]]:
    """Read all that a read model keeps, beyond what its view shows."""
    table = READ_MODELS[name].orders_table.format(generation=1)
    found = await conn.fetch(f"SELECT * FROM {table} ORDER BY tenant_id, order_id")  # noqa: S608 - ours
    return [tuple(row) for row in found]


def summed(orders: Iterable[Order]) -> list[tuple[Any, ...]]:
    """Sum sales over folded orders, in plain Python."""
    sums: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0), Decimal(0), 0])
    for order in orders:
        if not order.confirmed:
            continue
        place = (order.tenant_id, order.business_day, order.hour, order.cashier_id, order.currency)
        if order.status == "voided":
            sums[place][4] += 1
            continue
        gross = order.totals.gross
        discount = order.totals.line_discount + order.totals.order_discount
        for at, amount in enumerate((1, gross, discount, gross - discount)):
            sums[place][at] += amount
    return sorted((*place, *amounts) for place, amounts in sums.items())


def summaries(orders: Iterable[Order]) -> list[tuple[Any, ...]]:
    return sorted(
        (
            order.order_id,
            order.tenant_id,
            order.status,
            order.cashier_id,
            order.currency,
            order.business_day,
            len(order.lines),
            order.totals.subtotal,
            order.totals.order_discount,
            order.totals.total,
            order.version,
            order.created_at,
            order.updated_at,
        )
        for order in orders
    )


def folded(name: str, orders: Iterable[Order]) -> list[tuple[Any, ...]]:
    return summed(orders) if name == "sales" else summaries(orders)


async def blocked(conn: asyncpg.Connection) -> int:
    """Wait until a projector waits for a lock, and return its process id on the server."""
    waiting = """
        SELECT l.pid FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
        WHERE NOT l.granted AND a.usename = 'tillstream_projector' AND a.datname = current_database()
    """
    async with asyncio.timeout(10):
        while True:
            await conn.execute("SELECT pg_stat_clear_snapshot()")
            pid: int | None = await conn.fetchval(waiting)
            if pid is not None:
                return pid
            await asyncio.sleep(0.01)
