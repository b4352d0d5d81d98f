"""What happened to an order, in answers."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from eventstore import StoredEvent


class HistoryEvent(BaseModel):
    """One event of an order: what happened, who did it and who authorised it."""

    version: int = Field(description="Of the order, from 1.")
    event_id: UUID
    type: str = Field(examples=["LineDiscountApplied"])
    occurred_at: datetime = Field(description="By the terminal's clock.")
    recorded_at: datetime = Field(description="By the database's clock.")
    actor: str | None = Field(examples=["anna"])
    authorised_by: str | None = Field(examples=["max"])
    command_id: str | None
    correlation_id: str | None
    undoes: list[int] = Field(description="The versions that it takes back.")
    redoes: list[int] = Field(description="The versions that it does again.")
    data: dict[str, Any] = Field(
        description="The event's fields.",
        examples=[{"line_id": "1", "amount": "0.50", "authorised_by": "max", "reason": "bruised"}],
    )


class History(BaseModel):
    """Some events of an order, oldest first; `next_after` asks for the next ones; null: none are left."""

    order_id: UUID
    events: list[HistoryEvent]
    next_after: int | None


def event_of(event: StoredEvent) -> dict[str, Any]:
    """Return the fields of a `HistoryEvent`."""
    metadata = event.metadata
    return {
        "version": event.version,
        "event_id": event.event_id,
        "type": event.event_type,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "actor": metadata.get("actor"),
        "authorised_by": event.payload.get("authorised_by"),
        "command_id": metadata.get("causation_id"),
        "correlation_id": metadata.get("correlation_id"),
        "undoes": metadata.get("undoes", []),
        "redoes": metadata.get("redoes", []),
        "data": event.payload,
    }
