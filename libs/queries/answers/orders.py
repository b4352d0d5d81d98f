"""Orders in answers."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from orders import Line, LineTotals, Order
from orders.described_fields import discount_fields, line_amounts, line_fields, order_fields
from queries.orders import summary_of


class OrderSummary(BaseModel):
    """An order at a version: subtotal (after line discounts) - discount (of the whole order) = total."""

    model_config = ConfigDict(from_attributes=True)

    order_id: UUID
    status: Literal["open", "confirmed", "voided"]
    cashier_id: str = Field(examples=["anna"])
    currency: str = Field(examples=["EUR"])
    business_day: date
    line_count: int
    subtotal: Decimal = Field(examples=["5.50"])
    discount: Decimal = Field(examples=["0.55"])
    total: Decimal = Field(examples=["4.95"])
    version: int
    created_at: datetime = Field(description="When its first event occurred.")
    updated_at: datetime = Field(description="When its newest event occurred.")


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


class OrderState(OrderSummary):
    """An order with its lines, all as of the same version."""

    hour: int | None = Field(None, description="The local hour of its confirmation.")
    discounted: Discount | None = Field(None, description="The discount of the whole order.")
    voided_reason: str | None = None
    voided_by: str | None = None
    lines: list[OrderLine]


class OrdersPage(BaseModel):
    """Some orders; `next_cursor` asks for the next ones, null where there are none."""

    orders: list[OrderSummary]
    next_cursor: str | None


def state_of(order: Order) -> dict[str, Any]:
    """Return the fields of an `OrderState` from a folded order."""
    return {**beside_summary(order), **asdict(summary_of(order))}


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
