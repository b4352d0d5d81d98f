"""The inserts of a recovery: rows as they were, with their own ids and times, however often it is run."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from commands import Request
from eventstore import NewEvent, Outcome, StreamKey, Tables
from operations.recover.columns import columns_of, unnested

_EVENT_COLUMNS = """
    tenant_id, aggregate_id, version, event_id, event_type, schema_version, payload, metadata, occurred_at,
    recorded_at
"""
_INSERT = f"""INSERT INTO {{events}} ({_EVENT_COLUMNS})
SELECT tenant_id, aggregate_id, version, event_id, event_type, schema_version, payload::jsonb,
    metadata::jsonb, occurred_at, recorded_at"""
_EVENTS = f"""
{_INSERT}
FROM unnest(
    $1::text[], $2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::integer[], $7::text[], $8::text[],
    $9::timestamptz[], $10::timestamptz[]
) AS e ({_EVENT_COLUMNS})
ORDER BY tenant_id COLLATE "C", aggregate_id, version
ON CONFLICT DO NOTHING
"""

# A page of the scratch table, after a place; what was written meanwhile is in its way, and counts as missing.
_LOST_EVENTS = f"""
WITH page AS MATERIALIZED (
    SELECT * FROM pg_temp.lost_events
    WHERE (tenant_id, aggregate_id, version) > ($1, $2, $3)
    ORDER BY tenant_id, aggregate_id, version LIMIT $4
),
inserted AS (
    {_INSERT}
    FROM page
    ORDER BY tenant_id, aggregate_id, version
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT tenant_id, aggregate_id, version, (SELECT count(*) FROM inserted) AS inserted
FROM page ORDER BY tenant_id DESC, aggregate_id DESC, version DESC LIMIT 1
"""  # noqa: S608 - constants of ours
_PAGE = 10_000

_COMMAND_COLUMNS = "tenant_id, command_id, aggregate_id, command_type, actor, data, occurred_at, fingerprint"
_INSERT_OUTCOMES = f"""
INSERT INTO command_outcomes (
    {_COMMAND_COLUMNS}, code, version, headers, value, recorded_at, aggregate_type
)
SELECT tenant_id, command_id, c.aggregate_id, command_type, actor, data::json, occurred_at, fingerprint, code,
    version, headers::json, value, decided_at, '{{aggregate}}'
"""
_OUTCOMES = f"""
{_INSERT_OUTCOMES}
FROM unnest(
    $1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::bytea[],
    $9::text[], $10::bigint[], $11::text[], $12::bytea[], $13::timestamptz[]
) AS c ({_COMMAND_COLUMNS}, code, version, headers, value, decided_at)
ORDER BY tenant_id COLLATE "C", command_id
ON CONFLICT DO NOTHING
"""
# What a topic tells lies in the scratch table already.
_TOLD_OUTCOMES = f"""
{_INSERT_OUTCOMES}
FROM (
    SELECT tenant_id, command_id::uuid, aggregate_id::uuid, coalesce(command_type, '') AS command_type,
        coalesce(actor, '') AS actor, data, occurred_at::timestamptz,
        decode(coalesce(fingerprint, ''), 'hex') AS fingerprint
    FROM unnest({unnested(*range(1, 9))}) AS c ({_COMMAND_COLUMNS})
) AS c
CROSS JOIN LATERAL (
    SELECT code, version, headers, value, decided_at
    FROM pg_temp.lost_outcomes AS l
    WHERE l.tenant_id = c.tenant_id AND l.command_id = c.command_id
    LIMIT 1
) AS told
ORDER BY tenant_id COLLATE "C", command_id
ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants of ours


class LostEvent(NamedTuple):
    """An event that is on no topic, with its place in the log."""

    key: StreamKey
    version: int
    event: NewEvent
    recorded_at: datetime


async def insert_events(conn: asyncpg.Connection, tables: Tables, events: Sequence[LostEvent]) -> None:
    """Insert events as they were; those that are there already are left."""
    if events:
        rows = [(*lost.key, lost.version, *lost.event, lost.recorded_at) for lost in events]
        await conn.execute(tables.sql(_EVENTS), *zip(*rows, strict=True))


async def insert_lost_events(conn: asyncpg.Connection, tables: Tables) -> AsyncIterator[int]:
    """Insert the events of the scratch table as they were, each order's in version order.

    Yields how many each page inserted: fewer than there are where their places were taken.
    """
    after: tuple[Any, ...] = ("", UUID(int=0), 0)
    while (page := await conn.fetchrow(tables.sql(_LOST_EVENTS), *after, _PAGE)) is not None:
        *after_page, inserted = page
        after = tuple(after_page)
        yield inserted


async def insert_outcomes(
    conn: asyncpg.Connection, tables: Tables, outcomes: Sequence[tuple[Outcome, datetime]]
) -> None:
    """Insert outcomes, each as of when it was decided; those that are there already are left."""
    if outcomes:
        rows = [(*outcome, decided_at) for outcome, decided_at in outcomes]
        await conn.execute(tables.sql(_OUTCOMES), *zip(*rows, strict=True))


async def insert_told_outcomes(conn: asyncpg.Connection, tables: Tables, requests: Sequence[Request]) -> None:
    """Insert the outcomes that the scratch table has of commands; those that are there already are left."""
    if requests:
        rows = [
            (
                each.tenant_id,
                each.command_ref,
                None if each.aggregate_id is None else str(each.aggregate_id),
                each.command_type,
                each.actor,
                each.data,
                None if each.occurred_at is None else each.occurred_at.isoformat(),
                each.fingerprint.hex(),
            )
            for each in requests
        ]
        await conn.execute(tables.sql(_TOLD_OUTCOMES), *columns_of(rows))
