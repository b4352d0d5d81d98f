"""An event store on PostgreSQL, through asyncpg: streams of events with snapshots, outcomes and an outbox.

It knows nothing of what the events mean: an `AggregateType` tells it how to fold, upcast and snapshot them.
"""

from eventstore.aggregate import Aggregate, AggregateType, Upcaster
from eventstore.connection import Connection
from eventstore.errors import (
    BrokenStream,
    ClockWentBack,
    Conflict,
    EventStoreError,
    MigrationRefused,
    NewerSchema,
    OutcomeConflict,
    UpcasterGap,
    VersionConflict,
    VersionNotFound,
)
from eventstore.migrations import migrate
from eventstore.outbox import (
    CHANNEL,
    SENDERS_LOCK,
    SHARDS,
    decode_headers,
    encode_headers,
    shard_of,
    storing_messages,
)
from eventstore.records import (
    Append,
    Batch,
    Loaded,
    NewEvent,
    OutboxMessage,
    Outcome,
    Snapshot,
    StoredEvent,
    StoredOutcome,
    StreamKey,
)
from eventstore.roles import LOGIN_ROLES, OWNER_ROLE, end_forgotten_transactions, set_passwords
from eventstore.store import EventStore
from eventstore.tables import Tables

__all__ = [
    "CHANNEL",
    "LOGIN_ROLES",
    "OWNER_ROLE",
    "SENDERS_LOCK",
    "SHARDS",
    "Aggregate",
    "AggregateType",
    "Append",
    "Batch",
    "BrokenStream",
    "ClockWentBack",
    "Conflict",
    "Connection",
    "EventStore",
    "EventStoreError",
    "Loaded",
    "MigrationRefused",
    "NewEvent",
    "NewerSchema",
    "OutboxMessage",
    "Outcome",
    "OutcomeConflict",
    "Snapshot",
    "StoredEvent",
    "StoredOutcome",
    "StreamKey",
    "Tables",
    "Upcaster",
    "UpcasterGap",
    "VersionConflict",
    "VersionNotFound",
    "decode_headers",
    "encode_headers",
    "end_forgotten_transactions",
    "migrate",
    "set_passwords",
    "shard_of",
    "storing_messages",
]
