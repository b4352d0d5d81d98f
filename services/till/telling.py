"""Orders and their events in words and rows, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, assert_never

from eventstore import StoredEvent
from orders import (
    DiscountApplied,
    DiscountRemoved,
    EventData,
    ItemAdded,
    ItemQuantityChanged,
    ItemRemoved,
    Line,
    LineDiscountApplied,
    LineDiscountRemoved,
    LineTotals,
    Order,
    OrderConfirmed,
    OrderCreated,
    OrderVoided,
    decode_event,
)
from orders.described_fields import line_amounts, line_fields
from queries.orders import summary_of


def order_row(order: Order) -> dict[str, Any]:
    """Return an order with the fields of the read model order_summary."""
    return asdict(summary_of(order))


def line_rows(order: Order) -> list[dict[str, Any]]:
    """Return an order's lines with their amounts."""
    return [line_row(line, amounts) for line, amounts in zip(order.lines, order.totals.lines, strict=True)]


def line_row(line: Line, amounts: LineTotals) -> dict[str, Any]:
    """Return one line with its amounts."""
    discount = line.discount
    return {
        "line_id": line.line_id,
        **line_fields(line),
        **line_amounts(amounts),
        "discount_authorised_by": discount.authorised_by if discount else None,
        "discount_reason": discount.reason if discount else None,
    }


def event_row(event: StoredEvent) -> dict[str, Any]:
    """Return one event as history tells it."""
    undoes, redoes = event.metadata.get("undoes", []), event.metadata.get("redoes", [])
    decoded = decode_event(event.event_type, event.payload, occurred_at=event.occurred_at)
    what = _what(decoded.data)
    if undoes:
        what = f"undoes version {_listed(undoes)}: {what}"
    if redoes:
        what = f"redoes version {_listed(redoes)}: {what}"
    return {
        "version": event.version,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "event": event.event_type,
        "actor": event.metadata.get("actor"),
        "authorised_by": event.payload.get("authorised_by"),
        "what": what,
        "data": event.payload,
        "metadata": event.metadata,
    }


def _listed(versions: list[int]) -> str:
    return ", ".join(map(str, versions))


def _what(data: EventData) -> str:  # noqa: C901, PLR0911 - one case for each event
    """Return the event as half a sentence."""
    match data:
        case OrderCreated():
            return f"cashier {data.cashier_id}, {data.currency}, business day {data.business_day}"
        case ItemAdded():
            return f"line {data.line_id}: {data.quantity} of {data.name} at {data.unit_price}"
        case ItemRemoved():
            return f"line {data.line_id} out"
        case ItemQuantityChanged():
            return f"line {data.line_id}: quantity {data.old} to {data.new}"
        case DiscountApplied():
            return f"{data.percent} % off the order{_because(data.reason)}"
        case DiscountRemoved():
            return "no discount on the order any more"
        case LineDiscountApplied():
            off = f"{data.percent} %" if data.amount is None else f"{data.amount}"
            return f"line {data.line_id}: {off} off{_because(data.reason)}"
        case LineDiscountRemoved():
            return f"line {data.line_id}: no discount any more"
        case OrderConfirmed():
            return f"total {data.total}, sold on {data.business_day} in hour {data.hour}"
        case OrderVoided():
            return data.reason
        case _:
            assert_never(data)


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""
