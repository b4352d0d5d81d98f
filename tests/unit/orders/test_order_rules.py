"""Creating an order and changing its items."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from orders import CreateOrder, OrderConfirmed, OrderCreated, OrderVoided, RejectionCode
from orders.commands import (
    AddItem,
    ApplyDiscount,
    ApplyLineDiscount,
    ChangeItemQuantity,
    CommandData,
    ConfirmOrder,
    RedoLastChange,
    RemoveDiscount,
    RemoveItem,
    RemoveLineDiscount,
    UndoLastChange,
    VoidOrder,
)
from orders.events import ItemQuantityChanged, ItemRemoved, LineDiscountApplied
from orders.money import Rounding
from unit.orders.order_scenarios import NOW, Scenario, created, given, item

CREATE = CreateOrder(cashier_id="5", currency="THB")
ADD = AddItem(product_id="7", name="Tea", quantity="2", unit_price="10")
CONFIRMED = OrderConfirmed(total=Decimal("20.00"), business_day=date(2026, 11, 23), hour=20)
VOIDED = OrderVoided(reason="mistake", authorised_by="9")

ON_AN_ORDER: list[CommandData] = [
    ADD,
    RemoveItem(line_id="1"),
    ChangeItemQuantity(line_id="1", quantity="3"),
    ApplyDiscount(percent="10", authorised_by="9"),
    RemoveDiscount(),
    ApplyLineDiscount(line_id="1", percent="10", authorised_by="9"),
    RemoveLineDiscount(line_id="1"),
    ConfirmOrder(),
    VoidOrder(reason="mistake", authorised_by="9"),
    UndoLastChange(),
    RedoLastChange(),
]
ON_AN_OPEN_ORDER: list[CommandData] = [
    data for data in ON_AN_ORDER if not isinstance(data, ConfirmOrder | VoidOrder)
]


def full_order() -> Scenario:
    return given(created(), *(item(str(number)) for number in range(1, 1001)))


def test_create_fixes_the_rules_of_money_and_the_business_day() -> None:
    """A created order keeps its cashier, currency, minor unit, rounding and business day."""
    order = given().when(CREATE).then(created())
    assert (order.status, order.version, order.currency, order.minor_unit) == ("open", 1, "THB", 2)
    assert (order.created_at, order.updated_at) == (NOW, NOW)


def test_business_day_is_the_local_day_of_the_tenant() -> None:
    """At 20:30 UTC it is already tomorrow in Bangkok."""
    outcome = given().when(CREATE, time_zone="Asia/Bangkok")
    assert outcome.after.business_day == date(2026, 11, 24)


def test_a_given_business_day_wins() -> None:
    """The terminal may say which day an order counts for."""
    data = CreateOrder(cashier_id="5", currency="THB", business_day="2026-11-22")
    assert given().when(data, time_zone="Asia/Bangkok").after.business_day == date(2026, 11, 22)


@pytest.mark.parametrize(("currency", "minor_unit"), [("JPY", 0), ("EUR", 2), ("KWD", 3), ("CLF", 4)])
def test_minor_unit_comes_from_iso_4217(currency: str, minor_unit: int) -> None:
    """The number of decimals is the currency's own."""
    data = CreateOrder(cashier_id="5", currency=currency, rounding="half_even")
    given().when(data).then(created(currency, minor_unit, Rounding.HALF_EVEN))


@pytest.mark.parametrize("currency", ["ZZZ", "XAU", "XXX"])
def test_a_currency_without_a_minor_unit_is_refused(currency: str) -> None:
    """Neither an unknown code nor gold can be sold in."""
    message = (
        given()
        .when(CreateOrder(cashier_id="5", currency=currency))
        .then_rejected(RejectionCode.UNKNOWN_CURRENCY)
    )
    assert currency in message


@pytest.mark.parametrize("last", [(), (VOIDED,)])
def test_an_order_is_created_once(last: tuple[OrderVoided, ...]) -> None:
    """An order that exists, even a voided one, is not created again."""
    given(created(), *last).when(CREATE).then_rejected(RejectionCode.ORDER_EXISTS)


@pytest.mark.parametrize("data", ON_AN_ORDER)
def test_an_unknown_order_is_refused(data: CommandData) -> None:
    """Nothing but creating works on an order that doesn't exist, and that is said before its version is."""
    given().when(data, expected_version=3).then_rejected(RejectionCode.ORDER_NOT_FOUND)


@pytest.mark.parametrize("data", ON_AN_ORDER)
def test_a_stale_version_is_refused_before_the_rules(data: CommandData) -> None:
    """Who expects another version is told so, even where the order is voided as well."""
    message = (
        given(created(), item(), VOIDED)
        .when(data, expected_version=2)
        .then_rejected(RejectionCode.VERSION_CONFLICT)
    )
    assert message == "The order is at version 3, but the command expects version 2."


def test_create_may_expect_version_0() -> None:
    """Version 0 is the order that doesn't exist yet; any other can't be expected of it."""
    given().when(CREATE, expected_version=0).then(created())
    given().when(CREATE, expected_version=1).then_rejected(RejectionCode.VERSION_CONFLICT)


@pytest.mark.parametrize("last", [CONFIRMED, VOIDED])
@pytest.mark.parametrize("data", ON_AN_OPEN_ORDER)
def test_only_an_open_order_changes(data: CommandData, last: OrderConfirmed | OrderVoided) -> None:
    """Item and discount changes, undo and redo are for open orders."""
    given(created(), item(), last).when(data, expected_version=3).then_rejected(RejectionCode.ORDER_NOT_OPEN)


def test_items_get_the_next_number() -> None:
    """A line without an id gets the next number, after the numbers that others chose."""
    order = given(created(), item("1"), item("7"), item("x")).when(ADD).then(item("8"))
    assert [line.line_id for line in order.lines] == ["1", "7", "x", "8"]


def test_numbers_are_not_given_twice() -> None:
    """A removed line's number stays its own, so that the history reads plainly."""
    given(created(), item("1"), ItemRemoved(line_id="1")).when(ADD).then(item("2"))


def test_a_number_in_use_is_passed_over() -> None:
    """A number of ten digits or more is somebody's own id: not counted on from, but still avoided."""
    given(created(), item("1000000000")).when(ADD).then(item("1"))
    given(created(), item("999999999"), item("1000000000")).when(ADD).then(item("1000000001"))


def test_a_line_id_is_used_once() -> None:
    """Two lines of an order never share an id, not even with the same content."""
    data = AddItem(product_id="7", name="Tea", quantity="2", unit_price="10", line_id="1")
    given(created(), item("1")).when(data).then_rejected(RejectionCode.LINE_EXISTS)


def test_an_order_holds_a_thousand_lines() -> None:
    """The thousandth line is taken, the next is refused until one goes."""
    full = full_order()
    full.when(ADD).then_rejected(RejectionCode.TOO_MANY_LINES)
    full.after(RemoveItem(line_id="500")).when(ADD).then(item("1001"))


@pytest.mark.parametrize(
    ("currency", "minor_unit", "price"), [("JPY", 0, "10.5"), ("THB", 2, "10.005"), ("KWD", 3, "0.0001")]
)
def test_a_price_finer_than_the_minor_unit_is_refused(currency: str, minor_unit: int, price: str) -> None:
    """Nobody can pay half a satang."""
    data = AddItem(product_id="7", name="Tea", quantity="1", unit_price=price)
    message = given(created(currency, minor_unit)).when(data).then_rejected(RejectionCode.PRICE_TOO_FINE)
    assert message == f"unit_price: {price} is finer than {currency} allows: at most {minor_unit} decimals."


def test_a_free_item_can_be_added() -> None:
    """A price of 0 is a price."""
    data = AddItem(product_id="7", name="Tea", quantity="0.5", unit_price=0)
    given(created()).when(data).then(item("1", "0.5", "0.00"))


def test_a_line_is_removed() -> None:
    """A removed line is gone, and the others keep their order."""
    order = (
        given(created(), item("1"), item("2"), item("3"))
        .when(RemoveItem(line_id="2"))
        .then(ItemRemoved(line_id="2"))
    )
    assert [line.line_id for line in order.lines] == ["1", "3"]


@pytest.mark.parametrize(
    "data",
    [
        RemoveItem(line_id="9"),
        ChangeItemQuantity(line_id="9", quantity="3"),
        ApplyLineDiscount(line_id="9", percent="10", authorised_by="9"),
        RemoveLineDiscount(line_id="9"),
    ],
)
def test_an_unknown_line_is_refused(data: CommandData) -> None:
    """What names a line that the order doesn't have is refused, and says which."""
    message = given(created(), item("1")).when(data).then_rejected(RejectionCode.UNKNOWN_LINE)
    assert message == "The order has no line 9."


def test_a_quantity_is_changed() -> None:
    """The event names the old quantity and the new, and the line keeps its discount."""
    discount = LineDiscountApplied(line_id="1", percent=Decimal(10), authorised_by="9")
    changed = ItemQuantityChanged(line_id="1", old=Decimal(2), new=Decimal(3))
    order = (
        given(created(), item("1"), discount)
        .when(ChangeItemQuantity(line_id="1", quantity="3"))
        .then(changed)
    )
    assert order.lines[0].quantity == 3
    assert order.lines[0].discount is not None


def test_a_quantity_that_is_so_already_changes_nothing() -> None:
    """Already done means no events."""
    given(created(), item("1", "2")).when(ChangeItemQuantity(line_id="1", quantity="2.000")).then()


def test_times_are_of_the_first_and_newest_event() -> None:
    """created_at stays, updated_at moves with each event."""
    later = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
    order = given(created()).when(ADD, occurred_at=later).after
    assert (order.created_at, order.updated_at) == (NOW, later)


def test_created_event_is_frozen() -> None:
    """A message can't be changed after it was made."""
    event: OrderCreated = created()
    with pytest.raises(ValueError, match="frozen"):
        event.cashier_id = "6"  # type: ignore[misc] # as the rule has it
