"""What is different between two states of an order, line by line and to the cent."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from orders.described_fields import (
    Value,
    discount_fields,
    line_amounts,
    line_fields,
    order_fields,
    totals_fields,
)
from orders.lines import Line, LineDiscount, OrderDiscount
from orders.order import Order
from orders.totals import LineTotals


class FieldChange(NamedTuple):
    """A field that differs, as it was and as it is."""

    field: str
    before: Value
    after: Value


class PricedLine(NamedTuple):
    """A line and what it comes to."""

    line: Line
    amounts: LineTotals


class LineChange(NamedTuple):
    """A line that both orders have, and its fields that differ."""

    line_id: str
    name: str
    changes: tuple[FieldChange, ...]


class OrderDifference(NamedTuple):
    """What turned one state of an order into another; all of it is empty where they look the same.

    `changes` are the order's own fields, and those of its discount as `discount.percent` and so on; `totals`
    what it comes to. Of a line its fields are compared, what it comes to, and what its discount is, likewise
    as `discount.percent` and so on: see `described_fields`. `reordered` tells that lines which both have
    stand in another order.
    """

    version_before: int
    version_after: int
    changes: tuple[FieldChange, ...]
    totals: tuple[FieldChange, ...]
    lines_added: tuple[PricedLine, ...]
    lines_removed: tuple[PricedLine, ...]
    lines_changed: tuple[LineChange, ...]
    reordered: bool


def difference(before: Order, after: Order) -> OrderDifference:
    """Return what differs between two states of one order, whichever of them is the older."""
    old, new = _lines(before), _lines(after)
    shared = [line_id for line_id in old if line_id in new]
    return OrderDifference(
        before.version,
        after.version,
        tuple(_changes(_fields(before), _fields(after))),
        tuple(_changes(_totals(before), _totals(after))),
        tuple(line for line_id, line in new.items() if line_id not in old),
        tuple(line for line_id, line in old.items() if line_id not in new),
        tuple(_changed_lines(old, new)),
        shared != [line_id for line_id in new if line_id in old],
    )


def _lines(order: Order) -> dict[str, PricedLine]:
    totals = order.totals
    return {
        line.line_id: PricedLine(line, amounts)
        for line, amounts in zip(order.lines, totals.lines, strict=True)
    }


def _changed_lines(old: Mapping[str, PricedLine], new: Mapping[str, PricedLine]) -> Iterator[LineChange]:
    for line_id, after in new.items():
        before = old.get(line_id)
        if before is not None and (changes := tuple(_changes(_of_line(before), _of_line(after)))):
            yield LineChange(line_id, after.line.name, changes)


def _changes(old: Mapping[str, Value], new: Mapping[str, Value]) -> Iterator[FieldChange]:
    for name in {**old, **new}:
        before, after = old.get(name), new.get(name)
        if before != after:
            yield FieldChange(name, before, after)


def _fields(order: Order) -> dict[str, Value]:
    return {**order_fields(order), **_of_discount(order.discount)}


def _totals(order: Order) -> dict[str, Value]:
    return {} if order.status == "new" else totals_fields(order.totals)


def _of_line(priced: PricedLine) -> dict[str, Value]:
    line, amounts = priced
    return {**line_fields(line), **line_amounts(amounts), **_of_discount(line.discount)}


def _of_discount(discount: OrderDiscount | LineDiscount | None) -> dict[str, Value]:
    return {f"discount.{name}": value for name, value in (discount_fields(discount) or {}).items()}
