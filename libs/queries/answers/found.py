"""Search results, products sold, sales, the process map and the audit trail in answers."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from queries import HitKind


class _FromRow(BaseModel):
    model_config = ConfigDict(from_attributes=True, ser_json_timedelta="float")


class Hit(_FromRow):
    """One thing that the text is."""

    kind: HitKind
    order_id: UUID | None = Field(description="Null for a refused command that names no order.")
    detail: str = Field(examples=["confirmed, 4.95 EUR, 2026-03-01"])


class Hits(BaseModel):
    """What was found: orders and commands of this id, then orders that had the product or the line."""

    hits: list[Hit]


class SalesRow(_FromRow):
    """What was sold in one currency: net = gross - discount. What was not asked to be told apart is null."""

    currency: str = Field(examples=["EUR"])
    business_day: date | None
    hour: int | None
    cashier_id: str | None
    orders: int = Field(description="Confirmed, and not voided since.")
    gross: Decimal = Field(examples=["1204.50"])
    discount: Decimal = Field(examples=["31.20"])
    net: Decimal = Field(examples=["1173.30"])
    voids: int = Field(description="Confirmed orders that were voided.")


class Sales(BaseModel):
    """Sales by what was asked for, always apart by currency."""

    sales: list[SalesRow]


class ProductSold(_FromRow):
    """What was sold of a product in one currency; discount with its part of the orders' discounts."""

    product_id: str = Field(examples=["p-apple"])
    currency: str = Field(examples=["EUR"])
    name: str = Field(examples=["Apple"])
    quantity: Decimal = Field(examples=["12"])
    gross: Decimal = Field(examples=["18.00"])
    discount: Decimal = Field(examples=["0.90"])
    net: Decimal = Field(examples=["17.10"])


class Products(BaseModel):
    """Some products, by id and currency; `next_cursor` asks for the next ones, null where there are none."""

    products: list[ProductSold]
    next_cursor: str | None


class Edge(_FromRow):
    """One type of event followed by another; waits in seconds, by the terminals' clocks."""

    from_type: str = Field(examples=["OrderCreated"])
    to_type: str = Field(examples=["ItemAdded"])
    count: int
    median: timedelta = Field(description="Seconds.", examples=[4.5])
    p95: timedelta = Field(description="Seconds: the 95th percentile.", examples=[31.0])


class ProcessMap(_FromRow):
    """How orders flow: the edges, most frequent first; how many orders begin and so far end with what."""

    edges: tuple[Edge, ...]
    starts: dict[str, int] = Field(examples=[{"OrderCreated": 120}])
    ends: dict[str, int] = Field(examples=[{"OrderConfirmed": 102, "OrderVoided": 7, "ItemAdded": 11}])


class AuditEntry(_FromRow):
    """An event with the order's fields that it changed, or a refused command."""

    recorded_at: datetime
    occurred_at: datetime | None
    order_id: UUID | None
    version: int | None = Field(description="Null for a refused command.")
    kind: str = Field(examples=["LineDiscountApplied", "refused"])
    actor: str | None
    authorised_by: str | None
    command_id: UUID
    correlation_id: str | None
    line_id: str | None
    product_id: str | None
    undoes: list[int] | None
    redoes: list[int] | None
    before: dict[str, Any] | None = Field(description="The changed fields as they were.")
    after: dict[str, Any] | None = Field(description="The changed fields as they are.")
    command_type: str | None = Field(description="Of a refused command.")
    code: str | None = Field(description="Of a refused command: why.")
    message: str | None = Field(description="Of a refused command: why, for people.")


class AuditPage(BaseModel):
    """Some entries, newest first; `next_cursor` asks for the next ones, null where there are none."""

    entries: list[AuditEntry]
    next_cursor: str | None
