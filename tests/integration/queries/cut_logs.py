"""The log cut off at a moment, folded in plain Python from the stored events: what the queries must equal."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise, takewhile
from statistics import median, quantiles
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from orders import ORDER, Order, initial_state

_EVENTS = """
SELECT aggregate_id, version, event_type, payload, metadata, occurred_at, recorded_at
FROM order_events WHERE tenant_id = $1 ORDER BY aggregate_id, version
"""


class Logged(NamedTuple):
    """One event as it lies in the log."""

    order_id: UUID
    version: int
    event_type: str
    payload: dict[str, Any]
    metadata: dict[str, Any]
    occurred_at: datetime
    recorded_at: datetime


async def read_log(conn: asyncpg.Connection, tenant_id: str) -> dict[UUID, list[Logged]]:
    """Read all events of a tenant, by order."""
    log: dict[UUID, list[Logged]] = defaultdict(list)
    for row in await conn.fetch(_EVENTS, tenant_id):
        payload = json.loads(row["payload"], parse_float=Decimal)
        event = Logged(*row[:3], payload, json.loads(row["metadata"]), *row[5:])
        log[event.order_id].append(event)
    return log


def cut(events: Iterable[Logged], moment: datetime | None, clock: str) -> list[Logged]:
    """Give the longest prefix whose every event was recorded, or had occurred, by a moment."""
    if moment is None:
        return list(events)
    return list(takewhile(lambda event: getattr(event, f"{clock}_at") <= moment, events))


def fold(tenant_id: str, order_id: UUID, events: Iterable[Logged]) -> Order:
    order = initial_state(tenant_id, order_id)
    for event in events:
        order = ORDER.evolve_stored(order, event.event_type, event.payload, event.metadata, event.occurred_at)
    return order


def sales(orders: Collection[Order], groups: Collection[str]) -> list[tuple[Any, ...]]:
    """Sum up what orders came to: by group and currency, each group's column or None."""
    sums: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0), Decimal(0), 0])
    for order in orders:
        if not order.confirmed:
            continue
        names = ("business_day", "hour", "cashier_id")
        place = (order.currency, *(getattr(order, name) if name in groups else None for name in names))
        totals = order.totals
        less = totals.line_discount + totals.order_discount
        if order.status == "voided":
            amounts = [0, Decimal(0), Decimal(0), Decimal(0), 1]
        else:
            amounts = [1, totals.gross, less, totals.total, 0]
        sums[place] = [each + amount for each, amount in zip(sums[place], amounts, strict=True)]
    # By group, and then by currency; a group that was not asked for is the same everywhere.
    return sorted(
        ((*place, *amounts) for place, amounts in sums.items()),
        key=lambda row: (*(each for each in row[1:4] if each is not None), row[0]),
    )


def products(orders: Collection[Order]) -> list[tuple[Any, ...]]:
    """Sum up what was sold of each product in each currency: quantity, gross, discount, net."""
    sums: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 4)
    for order in orders:
        if order.status != "confirmed":
            continue
        for line, amounts in zip(order.lines, order.totals.lines, strict=True):
            less = amounts.discount + amounts.order_discount
            moved = (line.quantity, amounts.gross, less, amounts.gross - less)
            place = (line.product_id, order.currency)
            sums[place] = [each + amount for each, amount in zip(sums[place], moved, strict=True)]
    return sorted((*place, *amounts) for place, amounts in sums.items())


def edges(log: dict[UUID, list[Logged]]) -> dict[tuple[str, str], tuple[int, timedelta, timedelta]]:
    """Give how often each type of event follows another, and the median and 95th percentile of the wait."""
    waits: dict[tuple[str, str], list[float]] = defaultdict(list)
    for events in log.values():
        for first, second in pairwise(events):
            waited = (second.occurred_at - first.occurred_at) / timedelta(seconds=1)
            waits[first.event_type, second.event_type].append(max(0.0, waited))
    return {
        edge: (len(of_edge), timedelta(seconds=median(of_edge)), timedelta(seconds=_p95(of_edge)))
        for edge, of_edge in waits.items()
    }


def _p95(waits: list[float]) -> float:
    return quantiles(waits, n=100, method="inclusive")[94] if len(waits) > 1 else waits[0]
