"""Answers as flat rows: an order, its lines, its events and entries of the audit trail, one after another."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from eventstore import Loaded, StoredEvent
from messaging import EventMessage
from orders import (
    Line,
    LineTotals,
    Order,
    decode_event,
    describe_changes,
    describe_event,
    line_amounts,
    line_fields,
)
from queries.audit import COLUMNS, REFUSED, AuditEntry
from queries.order_at import STORE
from queries.orders import OrderSummary, summary_of

Row = dict[str, Any]


def order_row(loaded: Loaded[Order], summary: OrderSummary | None = None) -> Row:
    """Return an order's summary, that of the read model where it is given, with the lines as `lines`."""
    order = loaded.state
    lines = [line_row(line, amounts) for line, amounts in zip(order.lines, order.totals.lines, strict=True)]
    return {**asdict(summary or summary_of(loaded)), "lines": lines}


def line_row(line: Line, amounts: LineTotals) -> Row:
    """Return one line with its amounts."""
    discount = line.discount
    return {
        "line_id": line.line_id,
        **line_fields(line),
        **line_amounts(amounts),
        "discount_authorised_by": discount.authorised_by if discount else None,
        "discount_reason": discount.reason if discount else None,
    }


def event_row(event: StoredEvent) -> Row:
    """Return one event, with `what` happened in words."""
    metadata: Mapping[str, Any] = event.metadata
    decoded = decode_event(
        event.event_type,
        event.payload,
        occurred_at=event.occurred_at,
        undoes=metadata.get("undoes", ()),
        redoes=metadata.get("redoes", ()),
    )
    return {
        "version": event.version,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "event": event.event_type,
        "actor": metadata.get("actor"),
        "authorised_by": event.payload.get("authorised_by"),
        "what": describe_event(decoded),
        "data": event.payload,
        "metadata": metadata,
    }


def message_row(message: EventMessage) -> Row:
    """Return an event of the topic with its tenant and order, and else as `event_row` does.

    Raises NewerSchema for an event that only a newer build can read.
    """
    payload = STORE.upcast(
        message.event_type, message.schema_version, dict(message.data), message.version, message.occurred_at
    )
    event = StoredEvent(
        position=0,
        event_id=message.event_id,
        tenant_id=message.tenant_id,
        aggregate_id=message.aggregate_id,
        version=message.version,
        event_type=message.event_type,
        schema_version=message.schema_version,
        payload=payload,
        metadata={
            "actor": message.actor,
            "undoes": list(message.undoes),
            "redoes": list(message.redoes),
        },
        occurred_at=message.occurred_at,
        recorded_at=message.recorded_at,
    )
    return {"tenant_id": message.tenant_id, "order_id": message.aggregate_id, **event_row(event)}


def entry_row(entry: AuditEntry) -> Row:
    """Return one entry of the audit trail, with `what` happened, or was refused, in words."""
    if entry.kind == REFUSED:
        what = f"{entry.command_type}: {entry.code}: {entry.message}"
    else:
        what = describe_changes(
            entry.before or {}, entry.after or {}, undoes=entry.undoes, redoes=entry.redoes
        )
    return {**{name: getattr(entry, name) for name in COLUMNS}, "what": what}
