"""Reading streams: each load is one statement, so that a snapshot and the events after it always agree."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import jiter
from asyncpg import Record

from eventstore.connection import Connection
from eventstore.records import StoredOutcome, StreamKey
from eventstore.tables import Tables

NEWEST: Final = 2**63 - 1
"""As a version to read up to: however many there are."""

# A stream's newest usable snapshot and the events after it, up to a version.
# A row is a snapshot (its event_type is null, payload the state, occurred_at the greatest one) or an event
# after it. The lateral subqueries keep their ORDER BY, so each stream is one walk along the index, however
# the planner guesses. `after` is a column, since under row-level security the index takes no expressions.
LOAD = """
WITH base AS MATERIALIZED (
    SELECT w.tenant_id, w.aggregate_id, w.up_to, w.ordinal,
        s.version, coalesce(s.version, 0) AS after, s.state, s.recorded_at, s.max_occurred_at
    FROM unnest($1::text[], $2::uuid[], $3::bigint[])
        WITH ORDINALITY AS w (tenant_id, aggregate_id, up_to, ordinal)
    LEFT JOIN LATERAL (
        SELECT version, state, recorded_at, max_occurred_at
        FROM {snapshots}
        WHERE tenant_id = w.tenant_id AND aggregate_id = w.aggregate_id
            AND schema_version = $4::integer AND version <= w.up_to
        ORDER BY version DESC
        LIMIT 1
    ) AS s ON true
)
SELECT ordinal, version, NULL AS event_type, NULL::integer AS schema_version, state::text AS payload,
    NULL AS metadata, max_occurred_at AS occurred_at, recorded_at
FROM base
WHERE version IS NOT NULL
UNION ALL
SELECT b.ordinal, e.version, e.event_type, e.schema_version, e.payload::text, e.metadata::text, e.occurred_at,
    e.recorded_at
FROM base AS b
CROSS JOIN LATERAL (
    SELECT version, event_type, schema_version, payload, metadata, occurred_at, recorded_at
    FROM {events}
    WHERE tenant_id = b.tenant_id AND aggregate_id = b.aggregate_id
        AND version > b.after AND version <= b.up_to
    ORDER BY version
) AS e
ORDER BY ordinal, version
"""

# The longest prefix of a stream whose every event was recorded, or had occurred, by a time.
# Both times of a snapshot are the greatest of its events' (recorded_at never runs backwards within a stream),
# so one that is not after $3 holds only events of the prefix, and the prefix ends before the first later
# event after it.
LOAD_AS_OF = """
WITH base AS MATERIALIZED (
    SELECT s.version, coalesce(s.version, 0) AS after, s.state, s.recorded_at, s.max_occurred_at
    FROM (SELECT) AS one
    LEFT JOIN LATERAL (
        SELECT version, state, recorded_at, max_occurred_at
        FROM {snapshots}
        WHERE tenant_id = $1 AND aggregate_id = $2 AND schema_version = $5::integer
            AND CASE WHEN $4::boolean THEN max_occurred_at ELSE recorded_at END <= $3::timestamptz
        ORDER BY version DESC
        LIMIT 1
    ) AS s ON true
),
later AS MATERIALIZED (
    SELECT min(e.version) AS version
    FROM base AS b
    JOIN {events} AS e ON e.version > b.after
    WHERE e.tenant_id = $1 AND e.aggregate_id = $2
        AND CASE WHEN $4::boolean THEN e.occurred_at ELSE e.recorded_at END > $3::timestamptz
)
SELECT 1::bigint AS ordinal, version, NULL AS event_type, NULL::integer AS schema_version,
    state::text AS payload, NULL AS metadata, max_occurred_at AS occurred_at, recorded_at
FROM base
WHERE version IS NOT NULL
UNION ALL
SELECT 1, e.version, e.event_type, e.schema_version, e.payload::text, e.metadata::text, e.occurred_at,
    e.recorded_at
FROM base AS b
CROSS JOIN later AS l
JOIN {events} AS e
    ON e.version > b.after AND (l.version IS NULL OR e.version < l.version)
WHERE e.tenant_id = $1 AND e.aggregate_id = $2
ORDER BY version
"""

_HISTORIES = """
SELECT w.ordinal, e.position, e.event_id, e.version, e.event_type, e.schema_version, e.payload::text,
    e.metadata::text, e.occurred_at, e.recorded_at
FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[])
    WITH ORDINALITY AS w (tenant_id, aggregate_id, after_version, up_to, ordinal)
CROSS JOIN LATERAL (
    SELECT *
    FROM {events}
    WHERE tenant_id = w.tenant_id AND aggregate_id = w.aggregate_id
        AND version > w.after_version AND version <= w.up_to
    ORDER BY version
    LIMIT $5::bigint
) AS e
ORDER BY w.ordinal, e.version
"""

# One walk along the unique index, as long as the page.
PAGE = """
SELECT tenant_id, aggregate_id, max(version) AS version
FROM {events}
WHERE (tenant_id, aggregate_id) > ($1, $2)
GROUP BY tenant_id, aggregate_id
ORDER BY tenant_id, aggregate_id
LIMIT $3
"""
# No tenant's name is empty, and none comes before it.
BEFORE_ALL = StreamKey("", UUID(int=0))

# Here and below, LIMIT 1 keeps the planner from turning a few hundred key lookups into a scan of the table.
FIND = """
SELECT w.tenant_id, w.aggregate_id, w.version, e.event_id
FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS w (tenant_id, aggregate_id, version)
CROSS JOIN LATERAL (
    SELECT event_id
    FROM {events}
    WHERE tenant_id = w.tenant_id AND aggregate_id = w.aggregate_id AND version = w.version
    LIMIT 1
) AS e
"""

NEWEST_VERSIONS = """
SELECT w.tenant_id, w.aggregate_id, e.version
FROM unnest($1::text[], $2::uuid[]) AS w (tenant_id, aggregate_id)
CROSS JOIN LATERAL (
    SELECT version
    FROM {events}
    WHERE tenant_id = w.tenant_id AND aggregate_id = w.aggregate_id
    ORDER BY version DESC
    LIMIT 1
) AS e
"""

_OUTCOMES = """
SELECT clock.now, known.tenant_id, known.command_id, known.fingerprint, known.headers, known.value
FROM (SELECT clock_timestamp() AS now) AS clock
LEFT JOIN (
    SELECT o.tenant_id, o.command_id, o.headers::text, o.value,
        CASE o.aggregate_type WHEN '{aggregate}' THEN o.fingerprint END AS fingerprint
    FROM unnest($1::text[], $2::uuid[]) AS w (tenant_id, command_id)
    CROSS JOIN LATERAL (
        SELECT *
        FROM command_outcomes
        WHERE tenant_id = w.tenant_id AND command_id = w.command_id
        LIMIT 1
    ) AS o
) AS known ON true
"""


async def select_histories(
    conn: Connection, tables: Tables, ranges: Mapping[StreamKey, tuple[int, int | None]], limit: int | None
) -> list[Record]:
    """Read each stream's events after a version, up to another, at most `limit` a stream."""
    after = [after for after, _ in ranges.values()]
    up_to = [NEWEST if up_to is None else up_to for _, up_to in ranges.values()]
    return await conn.fetch(tables.sql(_HISTORIES), *key_columns(ranges), after, up_to, limit)


async def find_outcomes(
    conn: Connection, tables: Tables, ids: Sequence[tuple[str, UUID]]
) -> tuple[datetime, dict[tuple[str, UUID], StoredOutcome]]:
    """Give the database's clock and the stored outcomes of those commands that have one."""
    rows = await conn.fetch(
        tables.sql(_OUTCOMES), [tenant_id for tenant_id, _ in ids], [command_id for _, command_id in ids]
    )
    known = {
        (tenant_id, command_id): StoredOutcome(fingerprint, headers, value)
        for _, tenant_id, command_id, fingerprint, headers, value in rows
        if command_id is not None
    }
    now: datetime = rows[0]["now"]
    return now, known


def key_columns(keys: Iterable[StreamKey]) -> tuple[list[str], list[UUID]]:
    """Give the columns of stream keys, as arrays to unnest."""
    keys = list(keys)
    return [key.tenant_id for key in keys], [key.aggregate_id for key in keys]


def parse_json(text: str) -> dict[str, Any]:
    """Decode a JSON object of the store exactly: numbers with a fraction become `Decimal`."""
    value: dict[str, Any] = jiter.from_json(text.encode(), float_mode="decimal")
    return value
