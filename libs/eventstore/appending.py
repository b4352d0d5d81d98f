"""The append: one transaction of a few set-based statements, whatever the number of streams."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from uuid import UUID

from asyncpg.exceptions import UniqueViolationError

from eventstore.connection import Connection
from eventstore.errors import ClockWentBack, OutcomeConflict, VersionConflict
from eventstore.loading import find_outcomes, key_columns
from eventstore.records import Append, Batch, NewEvent, OutboxMessage, Outcome, StreamKey
from eventstore.tables import Tables

# One statement, so one round trip, and nothing of it is inserted unless every stream is where the batch takes
# it to be: at expected_version, which a first new event must find committed as its predecessor. What a rival
# commits after this statement's snapshot, UNIQUE refuses. A stream that only outcomes without events rest on
# has a null recorded_at here. All writers insert in key order, so that two of them can't wait for each other.
# The relay sends a key's messages by id, so their ids follow the batch's order.
_APPEND = """
WITH stream AS MATERIALIZED (
    SELECT *
    FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::timestamptz[])
        WITH ORDINALITY AS s (tenant_id, aggregate_id, expected_version, recorded_at, ordinal)
),
stale AS MATERIALIZED (
    SELECT s.tenant_id, s.aggregate_id, coalesce(newest.version, 0) <> s.expected_version AS moved
    FROM stream AS s
    LEFT JOIN LATERAL (
        SELECT version, recorded_at
        FROM {events}
        WHERE tenant_id = s.tenant_id AND aggregate_id = s.aggregate_id
        ORDER BY version DESC
        LIMIT 1
    ) AS newest ON true
    WHERE coalesce(newest.version, 0) <> s.expected_version OR newest.recorded_at > s.recorded_at
),
inserted_events AS (
    INSERT INTO {events} (
        tenant_id, aggregate_id, version, event_id, event_type, schema_version,
        payload, metadata, occurred_at, recorded_at
    )
    SELECT s.tenant_id, s.aggregate_id, e.version, e.event_id, e.event_type, e.schema_version,
        e.payload::jsonb, e.metadata::jsonb, e.occurred_at, s.recorded_at
    FROM unnest(
        $5::integer[], $6::bigint[], $7::uuid[], $8::text[], $9::integer[], $10::text[], $11::text[],
        $12::timestamptz[]
    ) AS e (stream, version, event_id, event_type, schema_version, payload, metadata, occurred_at)
    JOIN stream AS s ON s.ordinal = e.stream
    WHERE NOT EXISTS (SELECT FROM stale)
    ORDER BY s.tenant_id COLLATE "C", s.aggregate_id, e.version
),
inserted_outcomes AS (
    INSERT INTO command_outcomes (
        tenant_id, command_id, aggregate_id, command_type, actor, data, occurred_at, fingerprint, code,
        version, headers, value, aggregate_type
    )
    SELECT tenant_id, command_id, aggregate_id, command_type, actor, data::json, occurred_at, fingerprint,
        code, version, headers::json, value, '{aggregate}'
    FROM unnest(
        $13::text[], $14::uuid[], $15::uuid[], $16::text[], $17::text[], $18::text[], $19::timestamptz[],
        $20::bytea[], $21::text[], $22::bigint[], $23::text[], $24::bytea[]
    ) AS o (
        tenant_id, command_id, aggregate_id, command_type, actor, data, occurred_at, fingerprint, code,
        version, headers, value
    )
    WHERE NOT EXISTS (SELECT FROM stale)
    ORDER BY tenant_id COLLATE "C", command_id
),
inserted_messages AS (
    INSERT INTO outbox (topic, key, headers, value, shard)
    SELECT topic, key, headers::json, value, shard
    FROM unnest($25::text[], $26::bytea[], $27::text[], $28::bytea[], $29::smallint[])
        WITH ORDINALITY AS m (topic, key, headers, value, shard, ordinal)
    WHERE NOT EXISTS (SELECT FROM stale)
    ORDER BY ordinal
)
SELECT tenant_id, aggregate_id, moved FROM stale
"""

_SNAPSHOTS = """
INSERT INTO {snapshots} (
    tenant_id, aggregate_id, version, schema_version, state, recorded_at, max_occurred_at
)
SELECT tenant_id, aggregate_id, version, schema_version, state::json, recorded_at, max_occurred_at
FROM unnest(
    $1::text[], $2::uuid[], $3::bigint[], $4::integer[], $5::text[], $6::timestamptz[], $7::timestamptz[]
) AS s (tenant_id, aggregate_id, version, schema_version, state, recorded_at, max_occurred_at)
ORDER BY tenant_id COLLATE "C", aggregate_id, schema_version, version
ON CONFLICT (tenant_id, aggregate_id, schema_version, version) DO NOTHING
"""

_MOVED = """
SELECT s.tenant_id, s.aggregate_id
FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS s (tenant_id, aggregate_id, expected_version)
LEFT JOIN LATERAL (
    SELECT version
    FROM {events}
    WHERE tenant_id = s.tenant_id AND aggregate_id = s.aggregate_id
    ORDER BY version DESC
    LIMIT 1
) AS newest ON true
WHERE coalesce(newest.version, 0) <> s.expected_version
"""


async def append(conn: Connection, tables: Tables, batch: Batch) -> None:
    """Store a batch whole or not at all; see `EventStore.append`."""
    _check(batch)
    # Within a transaction of the caller's that one fails, and nothing more can be asked in it.
    alone = not conn.is_in_transaction()
    try:
        async with conn.transaction() if alone else nullcontext():
            if batch.appends or batch.unchanged or batch.outcomes or batch.messages:
                await _append(conn, tables, batch)
            if batch.snapshots:
                rows = [(*key, *snapshot) for key, *snapshot in batch.snapshots]
                await conn.execute(tables.sql(_SNAPSHOTS), *zip(*rows, strict=True))
    except UniqueViolationError as error:
        # The rival has committed, or we would still be waiting: now it can be seen who was second where.
        if error.constraint_name == f"{tables.events}_stream_version":
            moved = await _moved(conn, tables, batch) if alone else []
            raise VersionConflict(moved or _keys(batch)) from error
        if error.constraint_name == "command_outcomes_pkey":
            commands = [(outcome.tenant_id, outcome.command_id) for outcome in batch.outcomes]
            known = (await find_outcomes(conn, tables, commands))[1] if alone else {}
            raise OutcomeConflict(known or commands) from error
        raise


async def _append(conn: Connection, tables: Tables, batch: Batch) -> None:
    stale = await conn.fetch(
        tables.sql(_APPEND),
        *_stream_columns(batch),
        *_event_columns(batch.appends),
        *_columns(batch.outcomes, Outcome),
        *_columns(batch.messages, OutboxMessage),
    )
    if not stale:
        return
    if moved := [StreamKey(tenant_id, aggregate_id) for tenant_id, aggregate_id, moved in stale if moved]:
        raise VersionConflict(moved)
    raise ClockWentBack(StreamKey(tenant_id, aggregate_id) for tenant_id, aggregate_id, _ in stale)


async def _moved(conn: Connection, tables: Tables, batch: Batch) -> list[StreamKey]:
    tenant_ids, aggregate_ids, expected_versions, _ = _stream_columns(batch)
    rows = await conn.fetch(tables.sql(_MOVED), tenant_ids, aggregate_ids, expected_versions)
    return [StreamKey(tenant_id, aggregate_id) for tenant_id, aggregate_id in rows]


def _check(batch: Batch) -> None:
    """Raise `ValueError` for what would make the database's answer ambiguous: the caller has a defect."""
    if not all(append.events for append in batch.appends):
        raise ValueError("an append needs events: an outcome without events belongs to `unchanged`")
    if len({append.key for append in batch.appends}) != len(batch.appends):
        raise ValueError("a stream is named twice in a batch")
    if len({(outcome.tenant_id, outcome.command_id) for outcome in batch.outcomes}) != len(batch.outcomes):
        raise ValueError("a command is named twice in a batch")


def _keys(batch: Batch) -> Iterator[StreamKey]:
    yield from (append.key for append in batch.appends)
    yield from batch.unchanged


def _stream_columns(batch: Batch) -> tuple[list[str], list[UUID], list[object], list[object]]:
    expected = [append.expected_version for append in batch.appends]
    recorded = [append.recorded_at for append in batch.appends]
    return (
        *key_columns(_keys(batch)),
        [*expected, *batch.unchanged.values()],
        [*recorded, *(None for _ in batch.unchanged)],
    )


def _event_columns(appends: Iterable[Append]) -> Iterable[Sequence[object]]:
    rows = [
        (stream, version, *event)
        for stream, append in enumerate(appends, start=1)
        for version, event in enumerate(append.events, append.expected_version + 1)
    ]
    return _columns(rows, NewEvent, 2)


def _columns(
    rows: Sequence[Sequence[object]], kind: type[NewEvent | Outcome | OutboxMessage], before: int = 0
) -> Iterable[Sequence[object]]:
    """Give rows of a kind, with so many values before its own, as columns: also when there are none."""
    return zip(*rows, strict=True) if rows else [()] * (before + len(kind._fields))
