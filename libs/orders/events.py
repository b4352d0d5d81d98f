"""What can happen to an order. Stored: version with care (names, fields and meaning; see upcasters.py).

The models check types, not bounds: an event is a fact, and commands were bounded before it.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from orders.money import Rounding


class _EventData(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OrderCreated(_EventData):
    """The order began. Its money rules are fixed here: no later currency table changes old totals."""

    type: Literal["OrderCreated"] = "OrderCreated"
    cashier_id: str
    currency: str
    minor_unit: int
    rounding: Rounding
    business_day: date


class ItemAdded(_EventData):
    """A line was added: at the end, or at `position` (from 0) when an undone removal brings it back."""

    type: Literal["ItemAdded"] = "ItemAdded"
    line_id: str
    product_id: str
    name: str
    quantity: Decimal
    unit_price: Decimal
    position: int | None = None


class ItemRemoved(_EventData):
    """A line was removed, with its discount."""

    type: Literal["ItemRemoved"] = "ItemRemoved"
    line_id: str


class ItemQuantityChanged(_EventData):
    """A line's quantity went from `old` to `new`."""

    type: Literal["ItemQuantityChanged"] = "ItemQuantityChanged"
    line_id: str
    old: Decimal
    new: Decimal


class DiscountApplied(_EventData):
    """A percentage off the whole order; it replaces an earlier one."""

    type: Literal["DiscountApplied"] = "DiscountApplied"
    percent: Decimal
    authorised_by: str
    reason: str | None = None


class DiscountRemoved(_EventData):
    """The order's discount was taken back."""

    type: Literal["DiscountRemoved"] = "DiscountRemoved"


class LineDiscountApplied(_EventData):
    """A percentage or an amount off one line; it replaces an earlier one."""

    type: Literal["LineDiscountApplied"] = "LineDiscountApplied"
    line_id: str
    percent: Decimal | None = None
    amount: Decimal | None = None
    authorised_by: str
    reason: str | None = None


class LineDiscountRemoved(_EventData):
    """A line's discount was taken back."""

    type: Literal["LineDiscountRemoved"] = "LineDiscountRemoved"
    line_id: str


class OrderConfirmed(_EventData):
    """The order was sold: total = subtotal - discount, where discount is the order's own, beside the lines'.

    `hour` is the local hour of the sale, 0 to 23. subtotal and discount are None where they are unknown.
    """

    type: Literal["OrderConfirmed"] = "OrderConfirmed"
    subtotal: Decimal | None = None
    discount: Decimal | None = None
    total: Decimal
    business_day: date
    hour: int


class OrderVoided(_EventData):
    """The order was cancelled, open or confirmed. Nothing follows."""

    type: Literal["OrderVoided"] = "OrderVoided"
    reason: str
    authorised_by: str


_Change = (
    ItemAdded
    | ItemRemoved
    | ItemQuantityChanged
    | DiscountApplied
    | DiscountRemoved
    | LineDiscountApplied
    | LineDiscountRemoved
)
ItemOrDiscountChange = Annotated[_Change, Field(discriminator="type")]
EventData = Annotated[OrderCreated | _Change | OrderConfirmed | OrderVoided, Field(discriminator="type")]

EVENT_MODELS: dict[str, type[EventData]] = {
    model.__name__: model for model in get_args(get_args(EventData)[0])
}
EVENT_TYPES: tuple[str, ...] = tuple(EVENT_MODELS)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to an order, at the terminal's time (aware, UTC).

    `undoes` and `redoes` name the version of the change that this event takes back or does again. A change is
    always named by the version that first made it, however often it is undone and redone.
    """

    data: EventData
    occurred_at: datetime
    undoes: tuple[int, ...] = ()
    redoes: tuple[int, ...] = ()
