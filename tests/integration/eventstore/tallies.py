"""A small made-up aggregate, a tally that amounts are added to, and what tests need to fill its streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
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

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)


def at(minutes: int) -> datetime:
    """Give a time so many minutes after a fixed midnight."""
    return MIDNIGHT + timedelta(minutes=minutes)


@dataclass(frozen=True)
class Tally:
    """Its total, and a trail of every event folded in, so that no two folds look alike by chance."""

    tenant_id: str
    aggregate_id: str
    total: int = 0
    trail: tuple[str, ...] = ()


class TallyType:
    """Amounts were called `by` in schema version 1 of `Added`."""

    schema_versions: Mapping[str, int] = {"Added": 2, "Cleared": 1}
    upcasters: Mapping[tuple[str, int], Callable[[dict[str, Any], int, datetime], dict[str, Any]]] = {
        ("Added", 1): lambda payload, version, _: {"amount": payload["by"], "note": f"lifted at {version}"},
    }

    def __init__(self, state_version: int = 1) -> None:
        self.state_version = state_version

    def initial_state(self, tenant_id: str, aggregate_id: UUID) -> Tally:
        return Tally(tenant_id, str(aggregate_id))

    def evolve_stored(
        self,
        state: Tally,
        event_type: str,
        payload: Mapping[str, Any],
        metadata: Mapping[str, Any],
        occurred_at: datetime,
    ) -> Tally:
        total = 0 if event_type == "Cleared" else state.total + payload["amount"]
        step = f"{event_type} {dict(payload)} {dict(metadata)} {occurred_at.isoformat()}"
        return replace(state, total=total, trail=(*state.trail, step))

    def dump_state(self, state: Tally) -> str:
        return json.dumps([state.tenant_id, state.aggregate_id, state.total, state.trail])

    def load_state(self, text: str) -> Tally:
        tenant_id, aggregate_id, total, trail = json.loads(text)
        return Tally(tenant_id, aggregate_id, total, tuple(trail))

    def version(self, state: Tally) -> int:
        return len(state.trail)


TALLY = TallyType()
STORE: EventStore[Tally] = EventStore(TALLY, snapshot_every=10)


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
        "SELECT version FROM order_events WHERE tenant_id = $1 AND aggregate_id = $2 ORDER BY position", *key
    )
    return [row["version"] for row in rows]


@asynccontextmanager
async def statements_of(conn: Any) -> AsyncIterator[list[str]]:
    """Give a list that fills with the statements sent on a connection."""
    statements: list[str] = []
    with conn.query_logger(lambda record: statements.append(record.query)):
        yield statements
        await asyncio.sleep(0)  # asyncpg tells of a statement on the loop's next turn
