"""Confirming and voiding an order."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from orders import ItemAdded, OrderConfirmed, OrderVoided, RejectionCode
from orders.commands import ConfirmOrder, VoidOrder
from orders.events import DiscountApplied, ItemRemoved, LineDiscountApplied
from unit.orders.order_scenarios import created, given, item

CONFIRMED = OrderConfirmed(
    subtotal=Decimal("20.00"),
    discount=Decimal("0.00"),
    total=Decimal("20.00"),
    business_day=date(2026, 11, 23),
    hour=20,
)
VOID = VoidOrder(reason="customer left", authorised_by="9")
VOIDED = OrderVoided(reason="customer left", authorised_by="9")


def test_confirming_stores_the_sums() -> None:
    """Subtotal is after line discounts; discount is the order's own; total is what is paid."""
    line_discount = LineDiscountApplied(line_id="1", amount=Decimal("5.00"), authorised_by="9")
    order = given(created(), item(), line_discount, DiscountApplied(percent=Decimal(10), authorised_by="9"))
    sums = {"subtotal": Decimal("15.00"), "discount": Decimal("1.50"), "total": Decimal("13.50")}
    after = order.when(ConfirmOrder()).then(CONFIRMED.model_copy(update=sums))
    assert (after.status, after.confirmed, after.hour) == ("confirmed", True, 20)


def test_confirming_stores_the_local_hour_and_the_orders_own_day() -> None:
    """The hour is the tenant's; the business day was fixed when the order was created."""
    past_midnight = datetime(2026, 11, 23, 17, 30, tzinfo=UTC)
    outcome = given(created(), item()).when(
        ConfirmOrder(), occurred_at=past_midnight, time_zone="Asia/Bangkok"
    )
    outcome.then(CONFIRMED.model_copy(update={"hour": 0}))


@pytest.mark.parametrize("items", [(), (item(), ItemRemoved(line_id="1"))])
def test_an_empty_order_is_not_confirmed(items: tuple[ItemAdded | ItemRemoved, ...]) -> None:
    """A confirmation needs at least one line that is still there."""
    given(created(), *items).when(ConfirmOrder()).then_rejected(RejectionCode.EMPTY_ORDER)


def test_a_confirmed_order_is_confirmed_already() -> None:
    """Already done means no events."""
    given(created(), item(), CONFIRMED).when(ConfirmOrder()).then()


def test_a_voided_order_is_not_confirmed() -> None:
    """Nothing follows a void."""
    given(created(), item(), VOIDED).when(ConfirmOrder()).then_rejected(RejectionCode.ORDER_NOT_OPEN)


def test_an_open_order_is_voided() -> None:
    """A void keeps its reason and who authorised it."""
    order = given(created()).when(VOID).then(VOIDED)
    assert (order.status, order.confirmed) == ("voided", False)
    assert (order.voided_reason, order.voided_by) == ("customer left", "9")


def test_a_confirmed_order_is_voided_and_was_confirmed() -> None:
    """A void takes a sale out, but that it was sold stays known, with its lines and its hour."""
    order = given(created(), item(), CONFIRMED).when(VOID).then(VOIDED)
    assert (order.status, order.confirmed, order.hour) == ("voided", True, 20)
    assert order.totals.total == Decimal(20)


def test_a_void_happens_once() -> None:
    """A second void would have another reason and authoriser, so it is refused."""
    given(created(), VOIDED).when(VOID).then_rejected(RejectionCode.ALREADY_VOIDED)


@pytest.mark.parametrize("last", [CONFIRMED, VOIDED])
def test_a_closed_order_keeps_no_undo(last: OrderConfirmed | OrderVoided) -> None:
    """Nothing can be undone any more, so the stacks are given up."""
    order = given(created(), item(), last).order
    assert (order.undo, order.redo) == ((), ())
