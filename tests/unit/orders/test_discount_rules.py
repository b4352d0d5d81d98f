"""Discounts on the order and on a line."""

from decimal import Decimal

import pytest

from orders import RejectionCode
from orders.commands import (
    ApplyDiscount,
    ApplyLineDiscount,
    ChangeItemQuantity,
    RemoveDiscount,
    RemoveLineDiscount,
)
from orders.events import (
    DiscountApplied,
    DiscountRemoved,
    ItemQuantityChanged,
    LineDiscountApplied,
    LineDiscountRemoved,
)
from unit.orders.order_scenarios import created, given, item

TEN_PERCENT = DiscountApplied(percent=Decimal(10), authorised_by="9")
LINE_TEN_PERCENT = LineDiscountApplied(line_id="1", percent=Decimal(10), authorised_by="9")
LINE_FIVE = LineDiscountApplied(line_id="1", amount=Decimal("5.00"), authorised_by="9", reason="dented")


@pytest.mark.parametrize("percent", ["0.01", "10", "100"])
def test_an_order_discount_is_applied(percent: str) -> None:
    """Above 0 and up to 100 percent, with who authorised it and why."""
    data = ApplyDiscount(percent=percent, authorised_by=9, reason="staff")
    order = (
        given(created())
        .when(data)
        .then(DiscountApplied(percent=Decimal(percent), authorised_by="9", reason="staff"))
    )
    assert order.discount is not None
    assert (order.discount.percent, order.discount.authorised_by, order.discount.reason) == (
        Decimal(percent),
        "9",
        "staff",
    )


@pytest.mark.parametrize("percent", ["0", "-1", "100.01", "999999999"])
def test_a_percentage_out_of_range_is_refused(percent: str) -> None:
    """0 percent is no discount and more than 100 would pay the customer, on the order as on a line."""
    order = given(created(), item())
    order.when(ApplyDiscount(percent=percent, authorised_by="9")).then_rejected(
        RejectionCode.DISCOUNT_OUT_OF_RANGE
    )
    on_line = ApplyLineDiscount(line_id="1", percent=percent, authorised_by="9")
    message = order.when(on_line).then_rejected(RejectionCode.DISCOUNT_OUT_OF_RANGE)
    assert message == f"percent: {percent} is not above 0 and at most 100."


def test_a_second_order_discount_replaces_the_first() -> None:
    """Discounts don't add up."""
    twenty = DiscountApplied(percent=Decimal(20), authorised_by="9")
    order = (
        given(created(), item(), TEN_PERCENT)
        .when(ApplyDiscount(percent="20", authorised_by="9"))
        .then(twenty)
    )
    assert order.totals.order_discount == Decimal("4.00")


def test_the_same_order_discount_changes_nothing() -> None:
    """Already done means no events; another authoriser makes another discount."""
    order = given(created(), TEN_PERCENT)
    order.when(ApplyDiscount(percent="10.0", authorised_by="9")).then()
    order.when(ApplyDiscount(percent="10", authorised_by="8")).then(
        TEN_PERCENT.model_copy(update={"authorised_by": "8"})
    )


def test_an_order_discount_is_removed_once() -> None:
    """Removing takes the discount back; without one there is nothing to do."""
    order = given(created(), TEN_PERCENT).when(RemoveDiscount()).then(DiscountRemoved())
    assert order.discount is None
    given(created()).when(RemoveDiscount()).then()


def test_a_line_takes_a_percentage_or_an_amount() -> None:
    """The event keeps what was given, an amount in the currency's minor unit."""
    order = given(created(), item())
    order.when(ApplyLineDiscount(line_id="1", percent="10", authorised_by="9")).then(LINE_TEN_PERCENT)
    order.when(ApplyLineDiscount(line_id="1", amount="5", authorised_by="9", reason="dented")).then(LINE_FIVE)


def test_a_second_line_discount_replaces_the_first() -> None:
    """A percentage gives way to an amount."""
    data = ApplyLineDiscount(line_id="1", amount="5", authorised_by="9", reason="dented")
    order = given(created(), item(), LINE_TEN_PERCENT).when(data).then(LINE_FIVE)
    assert order.totals.line_discount == Decimal("5.00")


def test_the_same_line_discount_changes_nothing() -> None:
    """Already done means no events, however the amount is written."""
    data = ApplyLineDiscount(line_id="1", amount="5.0", authorised_by="9", reason="dented")
    given(created(), item(), LINE_FIVE).when(data).then()


def test_five_percent_is_not_an_amount_of_five() -> None:
    """A percentage of the same number as the amount before it is another discount, whatever its reason."""
    data = ApplyLineDiscount(line_id="1", percent="5", authorised_by="9", reason="dented")
    five_percent = LineDiscountApplied(line_id="1", percent=Decimal(5), authorised_by="9", reason="dented")
    given(created(), item(), LINE_FIVE).when(data).then(five_percent)


@pytest.mark.parametrize("amount", ["0", "-0.01"])
def test_an_amount_must_be_above_0(amount: str) -> None:
    """A discount that takes nothing off, or puts something on, is refused."""
    data = ApplyLineDiscount(line_id="1", amount=amount, authorised_by="9")
    given(created(), item()).when(data).then_rejected(RejectionCode.DISCOUNT_OUT_OF_RANGE)


def test_an_amount_finer_than_the_minor_unit_is_refused() -> None:
    """Amounts obey the same rule as prices."""
    data = ApplyLineDiscount(line_id="1", amount="0.005", authorised_by="9")
    message = given(created(), item()).when(data).then_rejected(RejectionCode.PRICE_TOO_FINE)
    assert message.startswith("amount: 0.005 is finer than THB allows")


def test_an_amount_reaches_up_to_the_line() -> None:
    """The whole gross may be taken off, and not a satang more."""
    order = given(created(), item(quantity="2", unit_price="10.00"))
    whole = LineDiscountApplied(line_id="1", amount=Decimal("20.00"), authorised_by="9")
    assert (
        order.when(ApplyLineDiscount(line_id="1", amount="20", authorised_by="9")).then(whole).totals.total
        == 0
    )
    order.when(ApplyLineDiscount(line_id="1", amount="20.01", authorised_by="9")).then_rejected(
        RejectionCode.DISCOUNT_EXCEEDS_LINE
    )


def test_a_quantity_below_the_amount_is_refused() -> None:
    """A line's gross may sink to its discount amount, but not below; a percentage sinks with it."""
    order = given(created(), item(quantity="2", unit_price="10.00"), LINE_FIVE)
    half = ItemQuantityChanged(line_id="1", old=Decimal(2), new=Decimal("0.5"))
    order.when(ChangeItemQuantity(line_id="1", quantity="0.5")).then(half)
    order.when(ChangeItemQuantity(line_id="1", quantity="0.499")).then_rejected(
        RejectionCode.DISCOUNT_EXCEEDS_LINE
    )
    little = ItemQuantityChanged(line_id="1", old=Decimal(2), new=Decimal("0.001"))
    given(created(), item(), LINE_TEN_PERCENT).when(ChangeItemQuantity(line_id="1", quantity="0.001")).then(
        little
    )


def test_a_line_discount_is_removed_once() -> None:
    """Removing takes the line's discount back; without one there is nothing to do."""
    order = given(created(), item(), LINE_FIVE).when(RemoveLineDiscount(line_id="1"))
    assert order.then(LineDiscountRemoved(line_id="1")).lines[0].discount is None
    given(created(), item()).when(RemoveLineDiscount(line_id="1")).then()
