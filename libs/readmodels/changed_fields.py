"""What an event changed: an order's fields that differ, as they were and as they are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from orders import Line, Order, discount_fields, line_fields, order_fields, totals_fields
from orders.totals import Totals, compute_order_discount, compute_totals

Fields = dict[str, Any]
"""JSON values by name: texts (amounts too), whole numbers, or further fields. What is absent is not there."""


def changed_fields(orders: Iterable[tuple[Order, Order]]) -> Iterator[tuple[Fields, Fields]]:
    """Give, for each order before and after an event, the fields that differ: as they were, as they are.

    The order's own fields (see `orders.described_fields`), `discount`, `totals`, and `lines` by line id. Of
    fields within fields (a line, its discount, the totals) only those that differ are given. A field that one
    side lacks did not exist there: before its creation an order has none at all.

    Where an order before an event is the one after the event before, its totals are not summed up again: an
    order may have a thousand lines, of which an event touches one or two.
    """
    last: Order | None = None
    sums = _NOTHING
    fields: Mapping[str, Any] = {}
    for before, after in orders:
        if before is not last:
            sums = _sums(before.lines, before)
            fields = _order(before, sums)
        touched = _touched(before, after)
        sums_after = _moved(sums, before, after, *touched)
        fields_after = _order(after, sums_after)
        was, now = _differing(fields, fields_after)
        lines_before, lines_after = _differing(*(dict(_named(lines)) for lines in touched))
        if lines_before:
            was["lines"] = lines_before
        if lines_after:
            now["lines"] = lines_after
        yield was, now
        last, sums, fields = after, sums_after, fields_after


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
        sums.gross - less.gross + more.gross, sums.line_discount - less.line_discount + more.line_discount
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


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Fields, Fields]:
    was: Fields = {}
    now: Fields = {}
    for name in {**old, **new}:
        before, after = old.get(name), new.get(name)
        # Most fields stay the same objects: what is the same needs no look at it.
        if before is after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            before, after = _differing(before, after)
        else:
            before, after = _json(before), _json(after)
            if before == after:
                continue
        # Within fields that both sides have, one side may have nothing that differs.
        if before not in (None, {}):
            was[name] = before
        if after not in (None, {}):
            now[name] = after
    return was, now


def _json(value: Any) -> Any:  # noqa: ANN401 - a field, or fields
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict):
        return {name: _json(each) for name, each in value.items() if each is not None}
    return value.isoformat() if isinstance(value, date) else value


def _order(order: Order, sums: _Sums) -> Mapping[str, Any]:
    """Return all fields but the lines."""
    if order.status == "new":
        return {}
    subtotal = sums.gross - sums.line_discount
    less = compute_order_discount(subtotal, order.discount, order.minor_unit, order.rounding)
    totals = Totals(*sums, subtotal, less, subtotal - less, ())
    return {
        **order_fields(order),
        "discount": discount_fields(order.discount),
        "totals": totals_fields(totals),
    }


def _named(lines: Sequence[Line]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for line in lines:
        yield line.line_id, {**line_fields(line), "discount": discount_fields(line.discount)}
