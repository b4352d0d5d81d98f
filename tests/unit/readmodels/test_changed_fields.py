"""What differs between an order before and after an event."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from orders import Line, Order
from orders.lines import LineDiscount, OrderDiscount
from readmodels import changed_fields as told

TEA = Line("1", "p1", "Tea", Decimal(2), Decimal("3.50"))
MILK = Line("2", "p2", "Milk", Decimal("0.5"), Decimal("1.20"))
NEW = Order("store-1", UUID(int=1))
OPEN = replace(
    NEW,
    version=3,
    status="open",
    cashier_id="ann",
    currency="EUR",
    minor_unit=2,
    business_day=date(2026, 3, 1),
    lines=(TEA, MILK),
)


def changed_fields(before: Order, after: Order) -> tuple[Any, Any]:
    (changed,) = told.changed_fields([(before, after)])
    return changed


def less(percent: int, by: str = "bob", reason: str | None = None) -> OrderDiscount:
    return OrderDiscount(Decimal(percent), by, reason)


def without_totals(before: Order, after: Order) -> tuple[Any, Any]:
    was, now = changed_fields(before, after)
    return (
        {name: value for name, value in was.items() if name != "totals"},
        {name: value for name, value in now.items() if name != "totals"},
    )


def test_before_its_creation_an_order_has_no_fields() -> None:
    """Of a new order nothing is told as it was, and all that it has as it is; what it lacks is left out."""
    was, now = changed_fields(NEW, replace(OPEN, lines=()))
    assert was == {}
    assert now == {
        "status": "open",
        "cashier_id": "ann",
        "currency": "EUR",
        "rounding": "half_up",
        "business_day": "2026-03-01",
        "totals": dict.fromkeys(("gross", "line_discount", "subtotal", "order_discount", "total"), "0.00"),
    }


def test_what_stayed_is_not_told() -> None:
    """Two equal orders differ in nothing, however their newest events differ."""
    assert changed_fields(OPEN, replace(OPEN, version=4, undo=())) == ({}, {})


def test_totals_are_told_where_they_moved() -> None:
    """An order discount moves the order's discount and total, and leaves gross and subtotal out."""
    was, now = changed_fields(OPEN, replace(OPEN, discount=less(10)))
    assert was == {"totals": {"order_discount": "0.00", "total": "7.60"}}
    assert now == {
        "discount": {"percent": "10", "authorised_by": "bob"},
        "totals": {"order_discount": "0.76", "total": "6.84"},
    }


@pytest.mark.parametrize(
    ("before", "after", "was", "now"),
    [
        (less(10), less(20), {"percent": "10"}, {"percent": "20"}),
        (less(10), less(10, "eve"), {"authorised_by": "bob"}, {"authorised_by": "eve"}),
        (less(10), less(10, reason="late"), None, {"reason": "late"}),
        (less(10, reason="late"), less(10), {"reason": "late"}, None),
        (less(10), None, {"percent": "10", "authorised_by": "bob"}, None),
    ],
)
def test_of_a_replaced_discount_only_what_differs_is_told(
    before: OrderDiscount, after: OrderDiscount | None, was: Any, now: Any
) -> None:
    """A discount that replaces another is told by its fields; a side without any has no `discount` at all."""
    told = without_totals(replace(OPEN, discount=before), replace(OPEN, discount=after))
    assert told == (
        {} if was is None else {"discount": was},
        {} if now is None else {"discount": now},
    )


def test_a_line_is_told_whole_where_it_is_new_or_gone() -> None:
    """A line that one side lacks is there whole on the other; lines that stayed are not told."""
    discount = LineDiscount("bob", amount=Decimal("0.10"), reason="bruised")
    milk = replace(MILK, discount=discount)
    whole = {
        "product_id": "p2",
        "name": "Milk",
        "quantity": "0.5",
        "unit_price": "1.20",
        "discount": {"amount": "0.10", "authorised_by": "bob", "reason": "bruised"},
    }
    one, two = replace(OPEN, lines=(TEA,)), replace(OPEN, lines=(TEA, milk))
    assert without_totals(one, two) == ({}, {"lines": {"2": whole}})
    assert without_totals(two, one) == ({"lines": {"2": whole}}, {})


def test_a_changed_line_is_told_by_its_changed_fields() -> None:
    """Of a line that both sides have, only the fields that differ are told."""
    after = replace(OPEN, lines=(replace(TEA, quantity=Decimal(3)), MILK))
    assert without_totals(OPEN, after) == (
        {"lines": {"1": {"quantity": "2"}}},
        {"lines": {"1": {"quantity": "3"}}},
    )


def test_equal_lines_do_not_differ() -> None:
    """A line that was made anew with the same fields did not change."""
    assert changed_fields(OPEN, replace(OPEN, lines=(replace(TEA), MILK))) == ({}, {})


def test_midnight_is_an_hour() -> None:
    """The hour 0 of a sale is a value and no absence of one."""
    assert changed_fields(OPEN, replace(OPEN, hour=0)) == ({}, {"hour": 0})
