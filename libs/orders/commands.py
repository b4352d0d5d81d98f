"""What can be asked of an order: the commands' bounded fields, and what `decide` needs beside them."""

from dataclasses import dataclass
from datetime import datetime, time
from typing import Annotated, Literal, Self, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from orders.fields import (
    Amount,
    BusinessDay,
    CurrencyCode,
    Identifier,
    Name,
    Percent,
    Price,
    Quantity,
    Reason,
    RoundingMode,
)
from orders.money import Rounding


class _CommandData(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CreateOrder(_CommandData):
    """Begin an order. Without `business_day` it counts for the tenant's business day at the time."""

    type: Literal["CreateOrder"] = "CreateOrder"
    cashier_id: Identifier
    currency: CurrencyCode
    rounding: RoundingMode = Rounding.HALF_UP
    business_day: BusinessDay | None = None


class AddItem(_CommandData):
    """Add a line at the end. Without `line_id` it gets the next number."""

    type: Literal["AddItem"] = "AddItem"
    product_id: Identifier
    name: Name
    quantity: Quantity
    unit_price: Price
    line_id: Identifier | None = None


class RemoveItem(_CommandData):
    """Remove a line, with its discount."""

    type: Literal["RemoveItem"] = "RemoveItem"
    line_id: Identifier


class ChangeItemQuantity(_CommandData):
    """Set a line's quantity."""

    type: Literal["ChangeItemQuantity"] = "ChangeItemQuantity"
    line_id: Identifier
    quantity: Quantity


class ApplyDiscount(_CommandData):
    """Take a percentage off the whole order, in place of an earlier one."""

    type: Literal["ApplyDiscount"] = "ApplyDiscount"
    percent: Percent
    authorised_by: Identifier
    reason: Reason | None = None


class RemoveDiscount(_CommandData):
    """Take the order's discount back."""

    type: Literal["RemoveDiscount"] = "RemoveDiscount"


class ApplyLineDiscount(_CommandData):
    """Take a percentage or an amount off one line, in place of an earlier one."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": [given],
                    "properties": {given: {"not": {"type": "null"}}, other: {"type": "null"}},
                }
                for given, other in (("percent", "amount"), ("amount", "percent"))
            ]
        }
    )

    type: Literal["ApplyLineDiscount"] = "ApplyLineDiscount"
    line_id: Identifier
    percent: Percent | None = None
    amount: Amount | None = None
    authorised_by: Identifier
    reason: Reason | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.percent is None) == (self.amount is None):
            raise PydanticCustomError("one_of_two", "exactly one must be given")
        return self


class RemoveLineDiscount(_CommandData):
    """Take a line's discount back."""

    type: Literal["RemoveLineDiscount"] = "RemoveLineDiscount"
    line_id: Identifier


class ConfirmOrder(_CommandData):
    """Sell the order."""

    type: Literal["ConfirmOrder"] = "ConfirmOrder"


class VoidOrder(_CommandData):
    """Cancel the order, open or confirmed."""

    type: Literal["VoidOrder"] = "VoidOrder"
    reason: Reason
    authorised_by: Identifier


class UndoLastChange(_CommandData):
    """Take back the last item or discount change of an open order."""

    type: Literal["UndoLastChange"] = "UndoLastChange"


class RedoLastChange(_CommandData):
    """Do the last undone change again."""

    type: Literal["RedoLastChange"] = "RedoLastChange"


ChangeCommand = (
    AddItem
    | RemoveItem
    | ChangeItemQuantity
    | ApplyDiscount
    | RemoveDiscount
    | ApplyLineDiscount
    | RemoveLineDiscount
)
CommandData = Annotated[
    CreateOrder | ChangeCommand | ConfirmOrder | VoidOrder | UndoLastChange | RedoLastChange,
    Field(discriminator="type"),
]

COMMAND_MODELS: dict[str, type[CommandData]] = {
    model.__name__: model for model in get_args(get_args(CommandData)[0])
}
COMMAND_TYPES: tuple[str, ...] = tuple(COMMAND_MODELS)


@dataclass(frozen=True, slots=True)
class Command:
    """A command with all that `decide` needs to know beside the order: it reads no clock and no settings.

    `occurred_at` is the terminal's clock, aware, UTC. `time_zone` is the tenant's IANA zone, for the business
    day and the hour, and `day_ends_at` the local time at which its business days end. `expected_version` is
    the version the sender has seen, or None if any will do.
    """

    command_id: UUID
    order_id: UUID
    tenant_id: str
    actor: str
    occurred_at: datetime
    data: CommandData
    expected_version: int | None = None
    time_zone: str = "UTC"
    day_ends_at: time = time(0)
