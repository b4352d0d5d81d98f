"""What an order comes to."""

from decimal import Decimal

import pytest

from orders.events import DiscountApplied, LineDiscountApplied
from orders.money import Rounding, apportion
from unit.orders.order_scenarios import created, given, item


def percent(value: str) -> DiscountApplied:
    return DiscountApplied(percent=Decimal(value), authorised_by="9")


def test_an_empty_order_comes_to_nothing() -> None:
    """Every sum of an order without lines is 0, written in its currency."""
    totals = given(created()).order.totals
    assert [str(amount) for amount in totals[:5]] == ["0.00"] * 5
    assert totals.lines == ()


def test_from_lines_to_total() -> None:
    """Gross - line discounts = subtotal; subtotal - order discount = total; each amount is rounded once."""
    order = given(
        created(),
        item("1", "0.333", "9.99"),
        item("2", "3", "1.05"),
        LineDiscountApplied(line_id="1", percent=Decimal("12.5"), authorised_by="9"),
        LineDiscountApplied(line_id="2", amount=Decimal("0.15"), authorised_by="9"),
        percent("10"),
    ).order
    first, second = order.totals.lines
    assert [str(amount) for amount in first[1:]] == ["3.33", "0.42", "2.91", "0.29"]
    assert [str(amount) for amount in second[1:]] == ["3.15", "0.15", "3.00", "0.30"]
    assert [str(amount) for amount in order.totals[:5]] == ["6.48", "0.57", "5.91", "0.59", "5.32"]


@pytest.mark.parametrize(
    ("rounding", "gross"),
    [(Rounding.HALF_UP, "0.13"), (Rounding.HALF_EVEN, "0.12"), (Rounding.DOWN, "0.12")],
)
def test_a_half_goes_the_orders_way(rounding: Rounding, gross: str) -> None:
    """The mode fixed with the order decides about 0.125."""
    order = given(created(rounding=rounding), item("1", "0.5", "0.25")).order
    assert str(order.totals.gross) == gross


def test_down_drops_the_rest() -> None:
    """Rounding down leaves off what is above the half as well."""
    order = given(created(rounding=Rounding.DOWN), item("1", "0.999", "0.01")).order
    assert str(order.totals.gross) == "0.00"


@pytest.mark.parametrize(("currency", "minor_unit", "discount"), [("JPY", 0, "333"), ("KWD", 3, "333.333")])
def test_amounts_are_on_the_currencys_grid(currency: str, minor_unit: int, discount: str) -> None:
    """A yen has no decimals and a dinar has three."""
    order = given(created(currency, minor_unit), item("1", "1", "1000"), percent("33.3333")).order
    assert str(order.totals.order_discount) == discount


@pytest.mark.parametrize(
    ("whole", "weights", "shares"),
    [
        ("0.05", ["1.00", "1.00", "1.00"], ["0.02", "0.02", "0.01"]),
        ("0.01", ["0.00", "0.30", "0.30"], ["0.00", "0.01", "0.00"]),
        ("1.00", ["0.10", "0.60", "0.30"], ["0.10", "0.60", "0.30"]),
        ("0.10", ["0.10", "0.70", "0.30"], ["0.01", "0.06", "0.03"]),
        ("0.00", ["1.00", "2.00"], ["0.00", "0.00"]),
        ("0.00", [], []),
    ],
)
def test_a_discount_is_shared_out_by_largest_remainder(
    whole: str, weights: list[str], shares: list[str]
) -> None:
    """Left-over cents go to the largest remainders, and to the earlier line where these are equal."""
    got = apportion(Decimal(whole), [Decimal(weight) for weight in weights], 2)
    assert [str(share) for share in got] == shares


def test_the_largest_order_is_exact() -> None:
    """A thousand lines at the bounds of quantity and price still sum without losing a digit."""
    lines = [item(str(number), "999999.999", "999999999.99") for number in range(1, 1001)]
    totals = given(created(), *lines, percent("99.99")).order.totals
    assert str(totals.lines[0].gross) == "999999998990000.00"
    assert totals.gross == 1000 * totals.lines[0].gross
    assert sum(line.order_discount for line in totals.lines) == totals.order_discount
