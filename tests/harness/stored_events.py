"""Events as they lie in the event store and on their topic, made of what happened to orders."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from eventstore import NewEvent, StreamKey
from messaging import event_headers
from orders import Event, encode_event, event_metadata

_COLUMNS = (
    "event_id",
    "aggregate_id",
    "tenant_id",
    "version",
    "event_type",
    "schema_version",
    "payload",
    "metadata",
    "occurred_at",
    "recorded_at",
)
_ORIGIN = ("actor", "correlation_id", "causation_id")


def new_event(event_id: UUID, event: Event, actor: str, correlation_id: str, command_id: UUID) -> NewEvent:
    """Give an event as the command service would append it."""
    origin = dict(zip(_ORIGIN, (actor, correlation_id, str(command_id)), strict=True))
    metadata = json.dumps({**origin, **event_metadata(event)})
    return NewEvent(event_id, *encode_event(event), metadata, event.occurred_at)


def record_headers(
    key: StreamKey, version: int, event: NewEvent, recorded_at: datetime
) -> list[tuple[str, bytes]]:
    """Give the headers of the event's record; its value is the payload."""
    said = json.loads(event.metadata)
    origin = {name: said.pop(name) for name in _ORIGIN}
    return event_headers(
        event_id=str(event.event_id),
        message_type=f"orders.{event.event_type}",
        aggregate_id=str(key.aggregate_id),
        tenant_id=key.tenant_id,
        version=version,
        schema_version=event.schema_version,
        occurred_at=event.occurred_at,
        recorded_at=recorded_at,
        metadata=said,
        **origin,
    )


def stored_row(key: StreamKey, version: int, event: NewEvent, recorded_at: datetime) -> tuple[Any, ...]:
    """Give the event's row for `copy_rows`: its id, its order's and its tenant, and then all the rest."""
    return (
        event.event_id,
        key.aggregate_id,
        key.tenant_id,
        version,
        event.event_type,
        event.schema_version,
        event.payload,
        event.metadata,
        event.occurred_at,
        recorded_at,
    )


async def copy_rows(conn: asyncpg.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Put rows into the event store past its checks: fast, and so for many."""
    await conn.copy_records_to_table("order_events", records=rows, columns=_COLUMNS)
