"""What an event changed: an order's fields that differ, as they were and as they are."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from orders import Line, LineDiscount, Order, OrderDiscount

Fields = dict[str, Any]
"""JSON values by name: texts (amounts too), whole numbers, or further fields. What is absent is not there."""


def changed_fields(before: Order, after: Order) -> tuple[Fields, Fields]:
    """Return the fields that differ, first as they were, then as they are.

    `status`, `cashier_id`, `currency`, `rounding`, `business_day`, `hour`, `voided_reason`, `voided_by`,
    `discount`, `totals`, and `lines` by line id. Of fields within fields (a line, its discount, the totals)
    only those that differ are given. A field that one side lacks did not exist there: before its creation an
    order has none at all.
    """
    was, now = _differing(_order(before), _order(after))
    lines_before, lines_after = _differing(*_lines(before, after))
    if lines_before:
        was["lines"] = lines_before
    if lines_after:
        now["lines"] = lines_after
    return was, now


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


def _order(order: Order) -> Fields:
    """Return all fields but the lines."""
    if order.status == "new":
        return {}
    totals = order.totals
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
            "gross": _number(totals.gross),
            "line_discount": _number(totals.line_discount),
            "subtotal": _number(totals.subtotal),
            "order_discount": _number(totals.order_discount),
            "total": _number(totals.total),
        },
    }


def _lines(before: Order, after: Order) -> tuple[Fields, Fields]:
    """Return the lines that differ: of up to a thousand an event touches one, the others are the same."""
    old = {line.line_id: line for line in before.lines}
    new = {line.line_id: line for line in after.lines}
    touched = [line_id for line_id in {**old, **new} if old.get(line_id) is not new.get(line_id)]
    return dict(_named(touched, old)), dict(_named(touched, new))


def _named(line_ids: list[str], lines: dict[str, Line]) -> Iterator[tuple[str, Fields]]:
    for line_id in line_ids:
        line = lines.get(line_id)
        if line is not None:
            yield (
                line_id,
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
