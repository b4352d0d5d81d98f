"""The inserts of a recovery: rows as they were, with their own ids and times, however often it is run."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from eventstore import Outcome, Tables
from operations.recover.lost_messages import LostEvent

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
_PAGE = 2_000

_OUTCOME_COLUMNS = """
    tenant_id, command_id, aggregate_id, command_type, actor, data, occurred_at, fingerprint, code, version,
    headers, value, recorded_at
"""
_OUTCOMES = f"""
INSERT INTO command_outcomes ({_OUTCOME_COLUMNS}, aggregate_type)
SELECT tenant_id, command_id, aggregate_id, command_type, actor, data::json, occurred_at, fingerprint, code,
    version, headers::json, value, recorded_at, '{{aggregate}}'
FROM unnest(
    $1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::bytea[],
    $9::text[], $10::bigint[], $11::text[], $12::bytea[], $13::timestamptz[]
) AS o ({_OUTCOME_COLUMNS})
ORDER BY tenant_id COLLATE "C", command_id
ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants of ours


class DatedOutcome(NamedTuple):
    """An outcome, and when it was decided."""

    outcome: Outcome
    decided_at: datetime


async def insert_events(conn: asyncpg.Connection, tables: Tables, events: Sequence[LostEvent]) -> None:
    """Insert events as they were; those that are there already are left."""
    if events:
        await conn.execute(tables.sql(_EVENTS), *zip(*(event.row for event in events), strict=True))


async def insert_lost_events(conn: asyncpg.Connection, tables: Tables) -> AsyncIterator[int]:
    """Insert the events of the scratch table as they were, each order's in version order.

    Yields how many each page inserted: fewer than there are where their places were taken.
    """
    after: tuple[Any, ...] = ("", UUID(int=0), 0)
    while (page := await conn.fetchrow(tables.sql(_LOST_EVENTS), *after, _PAGE)) is not None:
        *after_page, inserted = page
        after = tuple(after_page)
        yield inserted


async def insert_outcomes(conn: asyncpg.Connection, tables: Tables, outcomes: Sequence[DatedOutcome]) -> None:
    """Insert outcomes; those that are there already are left."""
    if outcomes:
        rows = [(*dated.outcome, dated.decided_at) for dated in outcomes]
        await conn.execute(tables.sql(_OUTCOMES), *zip(*rows, strict=True))
