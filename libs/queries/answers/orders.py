"""Orders in answers."""

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field

from eventstore import Loaded
from orders import Line, LineTotals, Order, discount_fields, line_amounts, line_fields, order_fields
from queries.orders import OrderSummary, summary_of


class Discount(BaseModel):
    """A discount in force: a percentage, or of a line an amount."""

    percent: Decimal | None = Field(None, examples=["10"])
    amount: Decimal | None = Field(None, examples=[None])
    authorised_by: str = Field(examples=["max"])
    reason: str | None = None


class OrderLine(BaseModel):
    """A line: net = gross - discount; `order_discount` is its share of the whole order's discount."""

    line_id: str
    product_id: str
    name: str = Field(examples=["Apple"])
    quantity: Decimal = Field(examples=["2"])
    unit_price: Decimal = Field(examples=["1.50"])
    gross: Decimal = Field(examples=["3.00"])
    discount: Decimal = Field(examples=["0.50"])
    net: Decimal = Field(examples=["2.50"])
    order_discount: Decimal = Field(examples=["0.25"])
    discounted: Discount | None = Field(None, description="The line's own discount.")


@dataclass(frozen=True, kw_only=True)
class OrderState(OrderSummary):
    """An order with its lines, all as of the same version."""

    hour: Annotated[int | None, Field(description="The local hour of its confirmation.")] = None
    discounted: Annotated[Discount | None, Field(description="The discount of the whole order.")] = None
    voided_reason: str | None = None
    voided_by: str | None = None
    lines: list[OrderLine]


class OrdersPage(BaseModel):
    """Some orders; `next_cursor` asks for the next ones, null where there are none."""

    orders: list[OrderSummary]
    next_cursor: str | None
    watermark: str = Field(
        description="For the next list's `changed_since`. All pages of a list tell that of the first.",
        examples=["7576412345678901234.1.1-4711:4711:"],
    )


def state_of(loaded: Loaded[Order]) -> dict[str, Any]:
    """Return the fields of an `OrderState` from an order of the event store."""
    return {**beside_summary(loaded.state), **asdict(summary_of(loaded))}


def beside_summary(order: Order) -> dict[str, Any]:
    """Return what an `OrderState` has beside the fields of an `OrderSummary`."""
    return {
        **order_fields(order),
        "discounted": discount_fields(order.discount),
        "lines": [
            line_of(line, amounts) for line, amounts in zip(order.lines, order.totals.lines, strict=True)
        ],
    }


def line_of(line: Line, amounts: LineTotals) -> dict[str, Any]:
    """Return the fields of an `OrderLine`."""
    return {
        "line_id": line.line_id,
        **line_fields(line),
        **line_amounts(amounts),
        "order_discount": amounts.order_discount,
        "discounted": discount_fields(line.discount),
    }
