"""Orders in answers."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from orders import Line, LineDiscount, LineTotals, Order, OrderDiscount


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


SUMMARY_FIELDS = tuple(OrderSummary.model_fields)


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
    totals = order.totals
    return {
        "order_id": order.order_id,
        "status": order.status,
        "cashier_id": order.cashier_id,
        "currency": order.currency,
        "business_day": order.business_day,
        "line_count": len(order.lines),
        "subtotal": totals.subtotal,
        "discount": totals.order_discount,
        "total": totals.total,
        "version": order.version,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        **beside_summary(order),
    }


def beside_summary(order: Order) -> dict[str, Any]:
    """Return what an `OrderState` has beside the fields of an `OrderSummary`."""
    return {
        "hour": order.hour,
        "discounted": _discount(order.discount),
        "voided_reason": order.voided_reason,
        "voided_by": order.voided_by,
        "lines": [
            line_of(line, amounts) for line, amounts in zip(order.lines, order.totals.lines, strict=True)
        ],
    }


def line_of(line: Line, amounts: LineTotals) -> dict[str, Any]:
    """Return the fields of an `OrderLine`."""
    return {
        "line_id": line.line_id,
        "product_id": line.product_id,
        "name": line.name,
        "quantity": line.quantity,
        "unit_price": line.unit_price,
        "gross": amounts.gross,
        "discount": amounts.discount,
        "net": amounts.net,
        "order_discount": amounts.order_discount,
        "discounted": _discount(line.discount),
    }


def _discount(discount: OrderDiscount | LineDiscount | None) -> dict[str, Any] | None:
    if discount is None:
        return None
    return {
        "percent": discount.percent,
        "amount": discount.amount if isinstance(discount, LineDiscount) else None,
        "authorised_by": discount.authorised_by,
        "reason": discount.reason,
    }
