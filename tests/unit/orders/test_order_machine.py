"""An order against a plain model of it, through histories that Hypothesis makes up.

The model undoes by going back to a copy, so it shares nothing with how the order does it.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from orders import ORDER, CreateOrder, RejectionCode, initial_state
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
from orders.order import MAX_STEPS
from unit.orders.order_scenarios import ORDER_ID, Outcome, Scenario
from unit.orders.order_strategies import CURRENCIES, LINE_IDS, ROUNDINGS

QUANTITIES = st.sampled_from(["0.5", "1", "2"])
PRICES = st.integers(0, 20)
AMOUNTS = st.integers(0, 20)
PERCENTS = st.sampled_from(["0", "5", "33.33", "100", "101"])


class Discount(NamedTuple):
    """A line's discount. Five percent is not an amount of five, so each has a field of its own."""

    percent: Decimal | None = None
    amount: Decimal | int | None = None


@dataclass(frozen=True)
class Basket:
    """The model: lines by id, each with quantity, price and discount, and the order's discount."""

    lines: dict[str, tuple[Decimal, Decimal, Discount | None]] = field(default_factory=dict)
    discount: Decimal | None = None

    def with_line(
        self, line_id: str, quantity: Decimal, price: Decimal, discount: Discount | None
    ) -> "Basket":
        return replace(self, lines={**self.lines, line_id: (quantity, price, discount)})


class OrderMachine(RuleBasedStateMachine):
    """Every rule sends one command, says what must come of it, and moves the model."""

    @initialize(currency=CURRENCIES, rounding=ROUNDINGS)
    def create(self, currency: str, rounding: str) -> None:
        self.basket, self.past, self.future = Basket(), list[Basket](), list[Basket]()
        self.status = "open"
        order = initial_state("store-1", ORDER_ID)
        self.order = (
            Scenario(order).when(CreateOrder(cashier_id=5, currency=currency, rounding=rounding)).after
        )

    def send(self, data: CommandData) -> Outcome:
        outcome = Scenario(self.order).when(data, expected_version=self.order.version)
        self.order = outcome.after
        return outcome

    def expect(self, data: CommandData, new: Basket, refused: RejectionCode | None) -> None:
        """Send a change; it leads to `new`, or to nothing if that is the basket already or it is refused."""
        if self.status != "open":
            refused = RejectionCode.ORDER_NOT_OPEN
        outcome = self.send(data)
        if refused is not None:
            outcome.then_rejected(refused)
        elif new == self.basket:
            outcome.then()
        else:
            assert len(outcome.events) == 1
            self.past = [*self.past, self.basket][-MAX_STEPS:]
            self.basket, self.future = new, []

    @rule(line_id=LINE_IDS, quantity=QUANTITIES, price=PRICES)
    def add(self, line_id: str, quantity: str, price: int) -> None:
        data = AddItem(product_id=7, name="Tea", quantity=quantity, unit_price=price, line_id=line_id)
        refused = RejectionCode.LINE_EXISTS if line_id in self.basket.lines else None
        self.expect(data, self.basket.with_line(line_id, Decimal(quantity), Decimal(price), None), refused)

    @rule(line_id=LINE_IDS)
    def remove(self, line_id: str) -> None:
        lines = {key: line for key, line in self.basket.lines.items() if key != line_id}
        refused = None if line_id in self.basket.lines else RejectionCode.UNKNOWN_LINE
        self.expect(RemoveItem(line_id=line_id), replace(self.basket, lines=lines), refused)

    @rule(line_id=LINE_IDS, quantity=QUANTITIES)
    def change_quantity(self, line_id: str, quantity: str) -> None:
        new, refused = self.basket, None
        if line_id not in new.lines:
            refused = RejectionCode.UNKNOWN_LINE
        else:
            old, price, discount = new.lines[line_id]
            new = new.with_line(line_id, Decimal(quantity), price, discount)
            amount = discount.amount if discount else None
            too_much = amount is not None and amount > self.gross(Decimal(quantity), price)
            if too_much and old != Decimal(quantity):
                refused = RejectionCode.DISCOUNT_EXCEEDS_LINE
        self.expect(ChangeItemQuantity(line_id=line_id, quantity=quantity), new, refused)

    @rule(percent=PERCENTS)
    def discount(self, percent: str) -> None:
        refused = None if 0 < Decimal(percent) <= 100 else RejectionCode.DISCOUNT_OUT_OF_RANGE
        new = replace(self.basket, discount=Decimal(percent))
        self.expect(ApplyDiscount(percent=percent, authorised_by=9), new, refused)

    @rule()
    def remove_discount(self) -> None:
        self.expect(RemoveDiscount(), replace(self.basket, discount=None), None)

    @rule(line_id=LINE_IDS, percent=PERCENTS)
    def discount_line_by_percent(self, line_id: str, percent: str) -> None:
        new, refused = self.basket, None
        if line_id not in new.lines:
            refused = RejectionCode.UNKNOWN_LINE
        elif not 0 < Decimal(percent) <= 100:
            refused = RejectionCode.DISCOUNT_OUT_OF_RANGE
        else:
            quantity, price, _ = new.lines[line_id]
            new = new.with_line(line_id, quantity, price, Discount(percent=Decimal(percent)))
        self.expect(ApplyLineDiscount(line_id=line_id, percent=percent, authorised_by=9), new, refused)

    @rule(line_id=LINE_IDS, amount=AMOUNTS)
    def discount_line_by_amount(self, line_id: str, amount: int) -> None:
        new, refused = self.basket, None
        if line_id not in new.lines:
            refused = RejectionCode.UNKNOWN_LINE
        elif amount == 0:
            refused = RejectionCode.DISCOUNT_OUT_OF_RANGE
        else:
            quantity, price, _ = new.lines[line_id]
            if amount > self.gross(quantity, price):
                refused = RejectionCode.DISCOUNT_EXCEEDS_LINE
            new = new.with_line(line_id, quantity, price, Discount(amount=amount))
        self.expect(ApplyLineDiscount(line_id=line_id, amount=amount, authorised_by=9), new, refused)

    @rule(line_id=LINE_IDS)
    def remove_line_discount(self, line_id: str) -> None:
        new, refused = self.basket, None
        if line_id in new.lines:
            quantity, price, _ = new.lines[line_id]
            new = new.with_line(line_id, quantity, price, None)
        else:
            refused = RejectionCode.UNKNOWN_LINE
        self.expect(RemoveLineDiscount(line_id=line_id), new, refused)

    @precondition(lambda self: self.status == "open")
    @rule()
    def undo(self) -> None:
        outcome = self.send(UndoLastChange())
        if not self.past:
            outcome.then_rejected(RejectionCode.NOTHING_TO_UNDO)
            return
        self.future.append(self.basket)
        self.basket = self.past.pop()

    @precondition(lambda self: self.status == "open")
    @rule()
    def redo(self) -> None:
        outcome = self.send(RedoLastChange())
        if not self.future:
            outcome.then_rejected(RejectionCode.NOTHING_TO_REDO)
            return
        self.past.append(self.basket)
        self.basket = self.future.pop()

    @precondition(lambda self: self.basket.lines)
    @rule()
    def confirm(self) -> None:
        outcome = self.send(ConfirmOrder())
        if self.status == "voided":
            outcome.then_rejected(RejectionCode.ORDER_NOT_OPEN)
        else:
            assert len(outcome.events) == (self.status == "open")
            self.status = "confirmed"

    @precondition(lambda self: self.past)
    @rule()
    def void(self) -> None:
        outcome = self.send(VoidOrder(reason="mistake", authorised_by=9))
        if self.status == "voided":
            outcome.then_rejected(RejectionCode.ALREADY_VOIDED)
        self.status = "voided"

    @rule()
    def reload(self) -> None:
        self.order = ORDER.load_state(ORDER.dump_state(self.order))

    @invariant()
    def order_is_the_model(self) -> None:
        """Lines in their order, discounts, status and the depth of the stacks agree."""
        order = self.order
        assert order.status == self.status
        assert [line.line_id for line in order.lines] == list(self.basket.lines)
        for line in order.lines:
            quantity, price, discount = self.basket.lines[line.line_id]
            assert (line.quantity, line.unit_price) == (quantity, price)
            given = line.discount and Discount(line.discount.percent, line.discount.amount)
            assert given == discount
        assert (None if order.discount is None else order.discount.percent) == self.basket.discount
        if self.status == "open":
            assert (len(order.undo), len(order.redo)) == (len(self.past), len(self.future))

    @invariant()
    def sums_agree(self) -> None:
        """Check that the total is what the lines come to, less their shares of the discount."""
        totals = self.order.totals
        assert totals.total == sum(line.net - line.order_discount for line in totals.lines)
        assert totals.gross == sum(self.gross(line[0], line[1]) for line in self.basket.lines.values())

    def gross(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Only half a yen ever needs rounding here, and prices are whole."""
        exact = quantity * price
        if self.order.minor_unit or exact == int(exact):
            return exact
        up = self.order.rounding == "half_up" or (self.order.rounding == "half_even" and int(exact) % 2)
        return Decimal(int(exact) + bool(up))


def test_an_order_keeps_to_the_model() -> None:
    """Through any history an order has the lines, discounts, status and refusals of a plain model of it."""
    run_state_machine_as_test(OrderMachine, settings=settings(max_examples=60, stateful_step_count=40))
