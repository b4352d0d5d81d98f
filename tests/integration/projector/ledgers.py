"""What the read models with rows of single events should hold, written in plain Python from what happened."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from orders import Event, Order

Row = tuple[Any, ...]


class Step(NamedTuple):
    """One event, when it was recorded, and the order before and after it."""

    event: Event
    recorded_at: datetime
    before: Order
    after: Order


def _by_order(steps: Iterable[Step]) -> list[list[Step]]:
    orders: dict[tuple[Any, Any], list[Step]] = defaultdict(list)
    for step in steps:
        orders[step.after.tenant_id, step.after.order_id].append(step)
    return list(orders.values())


def process_steps(steps: Iterable[Step]) -> list[Row]:
    found = []
    for of_order in _by_order(steps):
        business_day = of_order[0].after.business_day
        for version, (event, _, _, after) in enumerate(of_order, 1):
            last = of_order[version - 2].event if version > 1 else None
            waited = None if last is None else (event.occurred_at - last.occurred_at).total_seconds()
            found.append(
                (
                    after.tenant_id,
                    after.order_id,
                    version,
                    None if last is None else last.data.type,
                    event.data.type,
                    None if waited is None else timedelta(seconds=max(0, waited)),
                    business_day,
                )
            )
    return sorted(found, key=lambda row: row[:3])


def process_ends(steps: Iterable[Step]) -> list[Row]:
    return sorted(
        (
            last.after.tenant_id,
            last.after.order_id,
            len(of_order),
            last.event.data.type,
            last.after.business_day,
        )
        for of_order in _by_order(steps)
        for last in of_order[-1:]
    )


def product_movements(steps: Iterable[Step]) -> list[Row]:
    found = []
    for step, sold, sign, occurred_by in _sales(steps):
        shares = {each.line_id: each for each in sold.totals.lines}
        for line in sold.lines:
            share = shares[line.line_id]
            discount = share.discount + share.order_discount
            found.append(
                (
                    sold.tenant_id,
                    sold.order_id,
                    step.after.version,
                    line.line_id,
                    line.product_id,
                    line.name,
                    sold.business_day,
                    sold.hour,
                    sold.cashier_id,
                    sold.currency,
                    *(sign * each for each in (line.quantity, share.gross, discount, share.gross - discount)),
                    step.recorded_at,
                    occurred_by,
                )
            )
    return sorted(found, key=lambda row: row[:4])


def sales_changes(steps: Iterable[Step]) -> list[Row]:
    found = []
    for step, sold, sign, occurred_by in _sales(steps):
        totals = sold.totals
        discount = totals.line_discount + totals.order_discount
        amounts = (Decimal(sign) * each for each in (totals.gross, discount, totals.gross - discount))
        place = (sold.business_day, sold.hour, sold.cashier_id, sold.currency)
        key = (sold.tenant_id, sold.order_id, step.after.version)
        found.append((*key, *place, sign, *amounts, int(sign < 0), step.recorded_at, occurred_by))
    return sorted(found, key=lambda row: row[:3])


def _sales(steps: Iterable[Step]) -> Iterable[tuple[Step, Order, int, datetime]]:
    """Give each confirmation, and each void of a confirmed order, with what was sold and the sign it has."""
    for of_order in _by_order(steps):
        for version, step in enumerate(of_order, 1):
            was, now = step.before.status, step.after.status
            times = [each.event.occurred_at for each in of_order[:version]]
            if now == "confirmed" != was:
                yield step, step.after, 1, max(times)
            elif was == "confirmed" != now:
                yield step, step.before, -1, max(times)


TOLD: Mapping[str, Callable[[Sequence[Step]], list[Row]]] = {
    "process_ends": process_ends,
    "process_steps": process_steps,
    "product_movements": product_movements,
    "sales_changes": sales_changes,
}


def told(name: str, steps: Sequence[Step]) -> list[Row]:
    """Give the rows of a view."""
    return TOLD[name](steps)
