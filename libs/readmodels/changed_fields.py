"""What an event changed: an order's fields that differ, as they were and as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from orders import Line, LineDiscount, Order, OrderDiscount
from orders.totals import compute_order_discount, compute_totals

Fields = dict[str, Any]
"""JSON values by name: texts (amounts too), whole numbers, or further fields. What is absent is not there."""


def changed_fields(orders: Iterable[tuple[Order, Order]]) -> Iterator[tuple[Fields, Fields]]:
    """Give, for each order before and after an event, the fields that differ: as they were, as they are.

    `status`, `cashier_id`, `currency`, `rounding`, `business_day`, `hour`, `voided_reason`, `voided_by`,
    `discount`, `totals`, and `lines` by line id. Of fields within fields (a line, its discount, the totals)
    only those that differ are given. A field that one side lacks did not exist there: before its creation an
    order has none at all.

    Where an order before an event is the one after the event before, its totals are not summed up again: an
    order may have a thousand lines, of which an event touches one or two.
    """
    last: Order | None = None
    sums = _NOTHING
    for before, after in orders:
        if before is not last:
            sums = _sums(before.lines, before)
        touched = _touched(before, after)
        sums_after = _moved(sums, before, after, *touched)
        was, now = _differing(_order(before, sums), _order(after, sums_after))
        lines_before, lines_after = _differing(*(dict(_named(lines)) for lines in touched))
        if lines_before:
            was["lines"] = lines_before
        if lines_after:
            now["lines"] = lines_after
        yield was, now
        last, sums = after, sums_after


class _Sums(NamedTuple):
    """What the lines of an order come to together."""

    gross: Decimal
    line_discount: Decimal


_NOTHING = _Sums(Decimal(0), Decimal(0))


def _sums(lines: Sequence[Line], order: Order) -> _Sums:
    totals = compute_totals(lines, None, order.minor_unit, order.rounding)
    return _Sums(totals.gross, totals.line_discount)


def _moved(sums: _Sums, before: Order, after: Order, gone: Sequence[Line], came: Sequence[Line]) -> _Sums:
    if (before.minor_unit, before.rounding) != (after.minor_unit, after.rounding):
        return _sums(after.lines, after)
    less, more = _sums(gone, after), _sums(came, after)
    return _Sums(
        sums.gross - less.gross + more.gross,
        sums.line_discount - less.line_discount + more.line_discount,
    )


def _touched(before: Order, after: Order) -> tuple[Sequence[Line], Sequence[Line]]:
    """Return the lines between those that stayed the same objects at both ends: an event makes anew few."""
    old, new = before.lines, after.lines
    shorter = min(len(old), len(new))
    start = 0
    while start < shorter and old[start] is new[start]:
        start += 1
    end = 0
    while end < shorter - start and old[-1 - end] is new[-1 - end]:
        end += 1
    return old[start : len(old) - end], new[start : len(new) - end]


def _differing(old: Fields, new: Fields) -> tuple[Fields, Fields]:
    was: Fields = {}
    now: Fields = {}
    for name in {**old, **new}:
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            before, after = _differing(before, after)
        # Within fields that both sides have, one side may have nothing that differs.
        if before not in (None, {}):
            was[name] = before
        if after not in (None, {}):
            now[name] = after
    return was, now


def _order(order: Order, sums: _Sums) -> Fields:
    """Return all fields but the lines."""
    if order.status == "new":
        return {}
    subtotal = sums.gross - sums.line_discount
    less = compute_order_discount(subtotal, order.discount, order.minor_unit, order.rounding)
    return {
        "status": order.status,
        "cashier_id": order.cashier_id,
        "currency": order.currency,
        "rounding": order.rounding.value,
        "business_day": None if order.business_day is None else order.business_day.isoformat(),
        "hour": order.hour,
        "voided_reason": order.voided_reason,
        "voided_by": order.voided_by,
        "discount": _discount(order.discount),
        "totals": {
            "gross": _number(sums.gross),
            "line_discount": _number(sums.line_discount),
            "subtotal": _number(subtotal),
            "order_discount": _number(less),
            "total": _number(subtotal - less),
        },
    }


def _named(lines: Sequence[Line]) -> Iterator[tuple[str, Fields]]:
    for line in lines:
        yield (
            line.line_id,
            _present(
                product_id=line.product_id,
                name=line.name,
                quantity=_number(line.quantity),
                unit_price=_number(line.unit_price),
                discount=_discount(line.discount),
            ),
        )


def _discount(discount: OrderDiscount | LineDiscount | None) -> Fields | None:
    if discount is None:
        return None
    return _present(
        percent=_number(discount.percent),
        amount=_number(discount.amount) if isinstance(discount, LineDiscount) else None,
        authorised_by=discount.authorised_by,
        reason=discount.reason,
    )


def _present(**fields: object) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}


def _number(number: Decimal | None) -> str | None:
    return None if number is None else f"{number:f}"
