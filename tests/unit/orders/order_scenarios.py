"""The words of the domain's tests: given(events).when(command).then(events) or .then_rejected(code)."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from orders import (
    Command,
    Event,
    ItemAdded,
    Order,
    OrderCreated,
    Rejected,
    RejectionCode,
    decide,
    evolve,
    initial_state,
)
from orders.commands import CommandData
from orders.events import EventData
from orders.money import Rounding

NOW = datetime(2026, 11, 23, 20, 30, tzinfo=UTC)
ORDER_ID = UUID("00000000-0000-4000-8000-000000000001")
COMMAND_ID = UUID("00000000-0000-4000-8000-000000000002")


def command(data: CommandData, **details: Any) -> Command:
    """Make a command on the order of the scenario; `details` are other fields of Command."""
    return Command(COMMAND_ID, ORDER_ID, "store-1", "ann", details.pop("occurred_at", NOW), data, **details)


def fold(order: Order, events: tuple[Event, ...]) -> Order:
    for event in events:
        order = evolve(order, event)
    return order


@dataclass(frozen=True)
class Outcome:
    order: Order
    events: tuple[Event, ...]
    rejection: Rejected | None

    @property
    def after(self) -> Order:
        return fold(self.order, self.events)

    def then(self, *data: EventData, undoes: tuple[int, ...] = (), redoes: tuple[int, ...] = ()) -> Order:
        """Check that exactly these events happened; give the order after them."""
        assert self.rejection is None, self.rejection
        assert [event.data for event in self.events] == list(data)
        assert all((event.undoes, event.redoes) == (undoes, redoes) for event in self.events)
        return self.after

    def then_rejected(self, code: RejectionCode) -> str:
        """Check that the command was refused with this code; give the message."""
        assert self.rejection is not None, self.events
        assert self.rejection.code is code, self.rejection
        return self.rejection.message


@dataclass(frozen=True)
class Scenario:
    order: Order

    def when(self, data: CommandData, **details: Any) -> Outcome:
        try:
            return Outcome(self.order, decide(command(data, **details), self.order), None)
        except Rejected as rejection:
            return Outcome(self.order, (), rejection)

    def after(self, data: CommandData) -> "Scenario":
        """Go on with the order after a command that is accepted, on the version as it stands."""
        outcome = self.when(data, expected_version=self.order.version)
        assert outcome.rejection is None, outcome.rejection
        return Scenario(outcome.after)


def given(*data: EventData) -> Scenario:
    """Begin with an order to which these events happened."""
    return Scenario(fold(initial_state("store-1", ORDER_ID), tuple(Event(each, NOW) for each in data)))


def created(
    currency: str = "THB", minor_unit: int = 2, rounding: Rounding = Rounding.HALF_UP
) -> OrderCreated:
    return OrderCreated(
        cashier_id="5",
        currency=currency,
        minor_unit=minor_unit,
        rounding=rounding,
        business_day=date(2026, 11, 23),
    )


def item(line_id: str = "1", quantity: str = "2", unit_price: str = "10.00", **fields: Any) -> ItemAdded:
    return ItemAdded(
        line_id=line_id,
        product_id="7",
        name="Tea",
        quantity=Decimal(quantity),
        unit_price=Decimal(unit_price),
        **fields,
    )
