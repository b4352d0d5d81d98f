"""What happened to an order, in answers."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from eventstore import StoredEvent
from orders import FieldChange, Line, LineTotals, OrderDifference
from queries.answers.orders import OrderLine, line_of


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


class Change(BaseModel):
    """A field that differs; null where it is not there."""

    field: str = Field(examples=["quantity", "discount.percent"])
    before: int | str | None = Field(examples=["2"])
    after: int | str | None = Field(examples=["3"])


class ChangedLine(BaseModel):
    """A line that is there before and after, and its fields that differ."""

    line_id: str
    name: str
    changes: list[Change]


class Difference(BaseModel):
    """What turned the order of one version into that of another; empty lists where nothing differs."""

    order_id: UUID
    from_version: int
    to_version: int
    changes: list[Change] = Field(description="Of the order: status, discount and the like.")
    totals: list[Change]
    lines_added: list[OrderLine]
    lines_removed: list[OrderLine]
    lines_changed: list[ChangedLine]
    lines_reordered: bool


def difference_of(
    found: OrderDifference, line: Callable[[Line, LineTotals], dict[str, Any]] = line_of
) -> dict[str, Any]:
    """Return the fields of a `Difference` but the order's id; `line` tells of lines added and removed."""
    return {
        "from_version": found.version_before,
        "to_version": found.version_after,
        "changes": _changes(found.changes),
        "totals": _changes(found.totals),
        "lines_added": [line(*priced) for priced in found.lines_added],
        "lines_removed": [line(*priced) for priced in found.lines_removed],
        "lines_changed": [
            {"line_id": each.line_id, "name": each.name, "changes": _changes(each.changes)}
            for each in found.lines_changed
        ],
        "lines_reordered": found.reordered,
    }


def _changes(changes: tuple[FieldChange, ...]) -> list[dict[str, Any]]:
    return [
        {"field": name, "before": _told(before), "after": _told(after)} for name, before, after in changes
    ]


def _told(value: object) -> int | str | None:
    return value if value is None or isinstance(value, int) else str(value)
