"""What goes into the event store and what comes out of it.

What there is of one an event or command is a named tuple: it is made several times as fast as a frozen
dataclass, and its fields in order are the columns of its table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

S = TypeVar("S")


class StreamKey(NamedTuple):
    """Names one aggregate's stream of events. Two tenants may use the same aggregate id."""

    tenant_id: str
    aggregate_id: UUID


class NewEvent(NamedTuple):
    """An event to append. `payload` and `metadata` are JSON objects as text; `occurred_at` is aware.

    `event_id` may be the UUID's text, which spares who has just that at hand an object an event.
    """

    event_id: UUID | str
    event_type: str
    schema_version: int
    payload: str
    metadata: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as read: lifted to its type's newest schema version, JSON decoded.

    Numbers with a fraction or an exponent are `Decimal`, others `int`. `version` counts from 1 in its stream.
    `position` is unique, but no order to read the whole log by: a lower one can be committed after a higher
    one.
    """

    position: int
    event_id: UUID
    tenant_id: str
    aggregate_id: UUID
    version: int
    event_type: str
    schema_version: int
    payload: dict[str, Any]
    metadata: dict[str, Any]
    occurred_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Append:
    """New events of one stream, which become versions `expected_version + 1` and on."""

    key: StreamKey
    expected_version: int
    events: Sequence[NewEvent]
    recorded_at: datetime


class Outcome(NamedTuple):
    """A command and what became of it; kept for ever, one for each (tenant_id, command_id).

    `code` is None for an accepted command. `data` is JSON text; a malformed command may lack it and the
    aggregate. `headers` and `value` are the whole message that answers the command, sent again byte for byte.
    """

    tenant_id: str
    command_id: UUID
    aggregate_id: UUID | None
    command_type: str
    actor: str
    data: str | None
    occurred_at: datetime | None
    fingerprint: bytes
    code: str | None
    version: int | None
    headers: str
    value: bytes


class StoredOutcome(NamedTuple):
    """What a repeated command is answered with, and the fingerprint that shows it is the same command.

    A command to another aggregate type has none: under its id, none of ours is the same.
    """

    fingerprint: bytes | None
    headers: str
    value: bytes


class OutboxMessage(NamedTuple):
    """A whole message for the relay. `headers` comes from `encode_headers`, `shard` from `shard_of`."""

    topic: str
    key: bytes | None
    headers: str
    value: bytes | None
    shard: int


class Snapshot(NamedTuple):
    """The state of a stream at a version: a cache of the fold, which may be deleted at any time.

    `schema_version` is that of the state's shape (`AggregateType.state_version`); `recorded_at` is that of
    the event at `version`, `max_occurred_at` the greatest `occurred_at` of all events up to it.
    """

    key: StreamKey
    version: int
    schema_version: int
    state: str
    recorded_at: datetime
    max_occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction stores: all of it or nothing.

    `unchanged` maps each stream that an outcome without events was decided on to the version it must still
    have. A stream may be named once in `appends`, a command once in `outcomes`.
    """

    appends: Sequence[Append] = ()
    unchanged: Mapping[StreamKey, int] = field(default_factory=dict)
    outcomes: Sequence[Outcome] = ()
    messages: Sequence[OutboxMessage] = ()
    snapshots: Sequence[Snapshot] = ()


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """A state with its version, its newest event's `recorded_at` and its events' greatest `occurred_at`.

    Both times are None at version 0, the initial state of a stream without events.
    """

    state: S
    version: int
    recorded_at: datetime | None
    max_occurred_at: datetime | None
