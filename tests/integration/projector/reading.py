"""What the read models should hold and what they do."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from eventstore import StreamKey
from integration.projector.ledgers import Step, told
from integration.projector.order_log import CORRELATION_ID, RECORDED_AT, Happened, OrderLog
from orders import Event, Line, Order
from orders.lines import LineDiscount, OrderDiscount
from readmodels import READ_MODELS

NAMES = sorted(READ_MODELS)
# For many like cases of what is no read model's own: these two are kept as the others are.
MOST_NAMES = [
    pytest.param(name, marks=pytest.mark.long) if name in {"process_steps", "product_movements"} else name
    for name in NAMES
]


async def rows(conn: asyncpg.Connection, name: str) -> list[tuple[Any, ...]]:
    found = await conn.fetch(f"SELECT * FROM read_models.{name} ORDER BY 1, 2, 3, 4, 5")  # noqa: S608 - ours
    return [
        tuple(
            _leaves(value) if key in _JSON else value for key, value in row.items() if key not in UNFORESEEN
        )
        for row in found
    ]


UNFORESEEN = {"changed"}
"""Columns that tell what no log does: which transaction wrote a row."""
_JSON = {"before", "after"}


def _leaves(text: str | None) -> dict[str, Any] | None:
    return None if text is None else dict(leaves(json.loads(text)))


def leaves(fields: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Give each value within nested fields, by the dotted path to it."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}{name}.")
        elif value is not None:
            yield f"{path}{name}", value


async def kept(conn: asyncpg.Connection, name: str) -> list[tuple[Any, ...]]:
    """Read all that a read model keeps, beyond what its view shows."""
    table = READ_MODELS[name].orders_table.format(generation=1)
    found = await conn.fetch(f"SELECT * FROM {table} ORDER BY tenant_id, order_id")  # noqa: S608 - ours
    return [tuple(value for key, value in row.items() if key not in UNFORESEEN) for row in found]


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


def summaries(
    orders: Iterable[Order], recorded_at: Callable[[Order], datetime] = lambda _: RECORDED_AT
) -> list[tuple[Any, ...]]:
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
            recorded_at(order),
        )
        for order in orders
    )


def _written(order: Order) -> dict[str, Any]:
    """Give all an order's fields as the audit trail writes them, by their paths."""

    def amounts(of: object, *names: str) -> dict[str, str]:
        return {name: f"{getattr(of, name):f}" for name in names if getattr(of, name, None) is not None}

    def discount(of: LineDiscount | OrderDiscount | None) -> dict[str, Any]:
        if of is None:
            return {}
        return {**amounts(of, "percent", "amount"), "authorised_by": of.authorised_by, "reason": of.reason}

    def line(of: Line) -> dict[str, Any]:
        texts = {"product_id": of.product_id, "name": of.name}
        return {**texts, **amounts(of, "quantity", "unit_price"), "discount": discount(of.discount)}

    if not order.version:
        return {}
    simple = ["status", "cashier_id", "currency", "rounding", "hour", "voided_reason", "voided_by"]
    fields: dict[str, Any] = {name: getattr(order, name) for name in simple}
    fields["business_day"] = str(order.business_day)
    fields["totals"] = amounts(order.totals, "gross", "line_discount", "subtotal", "order_discount", "total")
    fields["discount"] = discount(order.discount)
    fields["lines"] = {each.line_id: line(each) for each in order.lines}
    return dict(leaves(fields))


def audited(happened: Iterable[Happened]) -> list[tuple[Any, ...]]:
    """Write the audit trail of what happened, in plain Python."""
    trail = [
        entry(event, before, after, (actor, command_id, CORRELATION_ID, RECORDED_AT))
        for actor, command_id, event, before, after in happened
    ]
    return sorted(trail, key=lambda row: row[:3])


def entry(
    event: Event, before: Order, after: Order, origin: tuple[str, UUID, str, datetime]
) -> tuple[Any, ...]:
    """Write an event's row of the audit trail: what differs around it, by the fields' paths.

    `origin` is its actor, command, correlation id and time of record.
    """
    actor, command_id, correlation_id, recorded_at = origin
    was, now = _written(before), _written(after)
    return (
        after.tenant_id,
        after.order_id,
        after.version,
        event.data.type,
        actor,
        getattr(event.data, "authorised_by", None),
        event.occurred_at,
        recorded_at,
        command_id,
        correlation_id,
        list(event.undoes),
        list(event.redoes),
        {path: value for path, value in was.items() if now.get(path) != value},
        {path: value for path, value in now.items() if was.get(path) != value},
        *(None, None, None),
        getattr(event.data, "line_id", None),
        getattr(event.data, "product_id", None),
    )


def expected(
    name: str, log: OrderLog, versions: Mapping[StreamKey, int] | None = None
) -> list[tuple[Any, ...]]:
    """Give what a view should show; `versions` says of some orders up to where they are applied."""
    newest = versions or {}
    happened = [
        each
        for each in log.history
        if each.after.version
        <= newest.get(StreamKey(each.after.tenant_id, each.after.order_id), each.after.version)
    ]
    if name in FOLDS:
        orders = {(each.after.tenant_id, each.after.order_id): each.after for each in happened}
        return folded(name, orders.values())
    if name == "audit_log":
        return audited(happened)
    return told(name, [Step(each.event, RECORDED_AT, each.before, each.after) for each in happened])


# Of the read models that go by orders as they are.
FOLDS: Mapping[str, Callable[[Iterable[Order]], list[tuple[Any, ...]]]] = {
    "order_summary": summaries,
    "sales": summed,
}


def folded(name: str, orders: Iterable[Order]) -> list[tuple[Any, ...]]:
    return FOLDS[name](orders)


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
