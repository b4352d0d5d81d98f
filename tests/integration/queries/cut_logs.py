"""The log cut off at a moment, folded in plain Python from the stored events: what the queries must equal."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise, takewhile
from statistics import median, quantiles
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from orders import ORDER, Order, initial_state

_EVENTS = """
SELECT aggregate_id, version, event_type, payload, metadata, occurred_at, recorded_at, schema_version
FROM order_events WHERE tenant_id = $1 ORDER BY aggregate_id, version
"""


class Span(NamedTuple):
    """Business days, both included; None is without an end."""

    first: date | None = None
    last: date | None = None

    def __contains__(self, day: object) -> bool:
        """Tell whether a day is one of them."""
        assert isinstance(day, date)
        return (self.first is None or day >= self.first) and (self.last is None or day <= self.last)


class Logged(NamedTuple):
    """One event as it lies in the log, lifted to its newest schema version, and its order's day after it."""

    order_id: UUID
    version: int
    event_type: str
    payload: dict[str, Any]
    metadata: dict[str, Any]
    occurred_at: datetime
    recorded_at: datetime
    business_day: date


async def read_log(conn: asyncpg.Connection, tenant_id: str) -> dict[UUID, list[Logged]]:
    """Read all events of a tenant, by order."""
    log: dict[UUID, list[Logged]] = defaultdict(list)
    for row in await conn.fetch(_EVENTS, tenant_id):
        order_id, version, event_type, text, metadata, occurred_at, recorded_at, schema_version = row
        payload = json.loads(text, parse_float=Decimal)
        if schema_version < ORDER.schema_versions[event_type]:
            payload = ORDER.upcasters[event_type, schema_version](payload, version, occurred_at)
        so_far = log[order_id]
        said = payload.get("business_day")
        day = so_far[-1].business_day if said is None else date.fromisoformat(said)
        told = json.loads(metadata)
        so_far.append(Logged(order_id, version, event_type, payload, told, occurred_at, recorded_at, day))
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


def sales(orders: Collection[Order], groups: Collection[str], days: Span) -> list[tuple[Any, ...]]:
    """Sum up what orders of some days came to: by group and currency, each group's column or None."""
    sums: dict[tuple[Any, ...], list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0), Decimal(0), 0])
    for order in orders:
        if not order.confirmed or order.business_day not in days:
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


def products(orders: Collection[Order], days: Span, product_id: str | None = None) -> list[tuple[Any, ...]]:
    """Sum up what was sold on some days, of all products or one: quantity, gross, discount, net."""
    sums: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 4)
    for order in orders:
        if order.status != "confirmed" or order.business_day not in days:
            continue
        for line, amounts in zip(order.lines, order.totals.lines, strict=True):
            if product_id not in {None, line.product_id}:
                continue
            less = amounts.discount + amounts.order_discount
            moved = (line.quantity, amounts.gross, less, amounts.gross - less)
            place = (line.product_id, order.currency)
            sums[place] = [each + amount for each, amount in zip(sums[place], moved, strict=True)]
    return sorted((*place, *amounts) for place, amounts in sums.items())


def edges(
    log: Mapping[UUID, list[Logged]], days: Span
) -> dict[tuple[str, str], tuple[int, timedelta, timedelta]]:
    """Give how often each type of event follows another on some days, with two percentiles of the wait.

    They are the median and the 95th.
    """
    waits: dict[tuple[str, str], list[float]] = defaultdict(list)
    for events in log.values():
        for first, second in pairwise(events):
            if second.business_day in days:
                waited = (second.occurred_at - first.occurred_at) / timedelta(seconds=1)
                waits[first.event_type, second.event_type].append(max(0.0, waited))
    return {
        edge: (len(of_edge), timedelta(seconds=median(of_edge)), timedelta(seconds=_p95(of_edge)))
        for edge, of_edge in waits.items()
    }


def starts_and_ends(log: Mapping[UUID, list[Logged]], days: Span) -> tuple[Counter[str], Counter[str]]:
    """Count the types of the first and of the last events of orders, each on the day it was."""
    first, last = ([events[place] for events in log.values()] for place in (0, -1))
    starts, ends = (
        Counter(event.event_type for event in events if event.business_day in days)
        for events in (first, last)
    )
    return starts, ends


def _p95(waits: list[float]) -> float:
    return quantiles(waits, n=100, method="inclusive")[94] if len(waits) > 1 else waits[0]
