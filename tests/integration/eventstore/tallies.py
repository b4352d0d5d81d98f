"""What tests need to fill the streams of tallies."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from eventstore import (
    Append,
    Batch,
    Connection,
    EventStore,
    NewEvent,
    OutboxMessage,
    Outcome,
    StreamKey,
)
from harness.tallies import TALLIES, TALLY, Tally, TallyType

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)


def at(minutes: int) -> datetime:
    """Give a time so many minutes after a fixed midnight."""
    return MIDNIGHT + timedelta(minutes=minutes)


STORE: EventStore[Tally] = TALLIES.store


def stream(tenant_id: str = "store-1") -> StreamKey:
    """Name a new stream."""
    return StreamKey(tenant_id, uuid4())


def added(amount: int = 1, *, occurred_at: datetime = MIDNIGHT) -> NewEvent:
    """Make an event of the newest schema version."""
    return NewEvent(uuid4(), "Added", 2, json.dumps({"amount": amount}), '{"actor": "kim"}', occurred_at)


def appending(
    key: StreamKey,
    expected_version: int = 0,
    *events: NewEvent,
    recorded_at: datetime = MIDNIGHT,
) -> Append:
    """Append events, one `Added` unless others are given."""
    return Append(key, expected_version, events or (added(),), recorded_at)


async def fill(conn: Connection, key: StreamKey, count: int, *, first: int = 1) -> None:
    """Append events one by one, event n of amount n, occurred and recorded n minutes after midnight."""
    for n in range(first, first + count):
        event = added(n, occurred_at=at(n))
        await STORE.append(conn, Batch(appends=[appending(key, n - 1, event, recorded_at=at(n))]))


def refusal(key: StreamKey, command_id: UUID | None = None, *, value: bytes = b"{}") -> Outcome:
    """Make the outcome of a refused command."""
    return Outcome(
        tenant_id=key.tenant_id,
        command_id=command_id or uuid4(),
        aggregate_id=key.aggregate_id,
        command_type="Add",
        actor="kim",
        data='{"amount": 0}',
        occurred_at=MIDNIGHT,
        fingerprint=b"f" * 32,
        code="amount_out_of_range",
        version=None,
        headers="[]",
        value=value,
    )


def message(value: bytes = b"{}", *, shard: int = 3) -> OutboxMessage:
    """Make a message of some topic."""
    return OutboxMessage("tallies.events", b"key", "[]", value, shard)


async def snapshot(conn: Connection, key: StreamKey, version: int, aggregate_type: TallyType = TALLY) -> None:
    """Store the snapshot of a stream at a version, as the stream's fold gives it."""
    store = EventStore(aggregate_type)
    taken = store.snapshot(key, await store.load_at_version(conn, key, version))
    await store.append(conn, Batch(snapshots=[taken]))


async def versions(conn: Connection, key: StreamKey) -> Sequence[int]:
    """Give the versions stored for a stream, in the order of their positions."""
    rows = await conn.fetch(
        "SELECT version FROM tally_events WHERE tenant_id = $1 AND aggregate_id = $2 ORDER BY position", *key
    )
    return [row["version"] for row in rows]


@asynccontextmanager
async def statements_of(conn: Any) -> AsyncIterator[list[str]]:
    """Give a list that fills with the statements sent on a connection."""
    statements: list[str] = []
    with conn.query_logger(lambda record: statements.append(record.query)):
        yield statements
        await asyncio.sleep(0)  # asyncpg tells of a statement on the loop's next turn
