"""What the topics hold and the database lacks, kept in temporary tables of the session: it may be much."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from uuid import UUID

import asyncpg

from eventstore import decode_headers
from messaging.attributes import Attributes
from operations.recover.lost_messages import CommandKey, LostEvent, LostOutcome, read_outcome
from operations.recover.work import Work

# By code point, as in the store.
_TABLES = """
DROP TABLE IF EXISTS pg_temp.lost_events, pg_temp.lost_outcomes, pg_temp.unanswered;
-- Two events as one version are two rows, and so are two outcomes of one command: nobody chooses unasked.
CREATE TEMPORARY TABLE lost_events (
    tenant_id text COLLATE "C" NOT NULL,
    aggregate_id uuid NOT NULL,
    version bigint NOT NULL,
    event_id uuid NOT NULL,
    event_type text NOT NULL,
    schema_version integer NOT NULL,
    payload text NOT NULL,
    metadata text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    place text NOT NULL,
    PRIMARY KEY (tenant_id, aggregate_id, version, event_id)
);
CREATE TEMPORARY TABLE lost_outcomes (
    tenant_id text COLLATE "C" NOT NULL,
    command_id uuid NOT NULL,
    headers text NOT NULL,
    value bytea NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (tenant_id, command_id, digest)
);
CREATE TEMPORARY TABLE unanswered (
    tenant_id text COLLATE "C" NOT NULL,
    command_id uuid NOT NULL,
    order_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, command_id)
);
"""
_ADD_EVENTS = """
INSERT INTO pg_temp.lost_events SELECT * FROM unnest(
    $1::text[], $2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::integer[], $7::text[], $8::text[],
    $9::timestamptz[], $10::timestamptz[], $11::text[]
)
ON CONFLICT DO NOTHING
"""
_ADD_OUTCOMES = """
INSERT INTO pg_temp.lost_outcomes
SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bytea[], $5::bytea[])
ON CONFLICT DO NOTHING
"""
_ADD_UNANSWERED = """
INSERT INTO pg_temp.unanswered SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[]) ON CONFLICT DO NOTHING
"""
_FIND = """
SELECT tenant_id, command_id, headers, value
FROM unnest($1::text[], $2::uuid[]) AS k (tenant_id, command_id)
JOIN pg_temp.lost_outcomes USING (tenant_id, command_id)
"""
_HAVE_EVENTS = """
SELECT tenant_id, command_id, order_id FROM unnest($1::text[], $2::uuid[]) AS k (tenant_id, command_id)
JOIN pg_temp.unanswered USING (tenant_id, command_id)
"""
_OUTCOMES_LEFT = """
SELECT l.tenant_id, l.command_id, l.headers, l.value FROM pg_temp.lost_outcomes AS l
WHERE (l.tenant_id, l.command_id) > ($1, $2) AND NOT EXISTS (
    SELECT FROM command_outcomes AS o WHERE o.tenant_id = l.tenant_id AND o.command_id = l.command_id
)
ORDER BY l.tenant_id, l.command_id LIMIT $3
"""
_UNANSWERED_LEFT = """
SELECT u.tenant_id, u.command_id, u.order_id FROM pg_temp.unanswered AS u
WHERE (u.tenant_id, u.command_id) > ($1, $2) AND NOT EXISTS (
    SELECT FROM command_outcomes AS o WHERE o.tenant_id = u.tenant_id AND o.command_id = u.command_id
)
ORDER BY u.tenant_id, u.command_id LIMIT $3
"""

# What is told of is enough to see what it is about.
_TWO_EVENTS = """
SELECT aggregate_id, version, array_agg(place ORDER BY recorded_at, event_id) AS places
FROM pg_temp.lost_events
GROUP BY tenant_id, aggregate_id, version HAVING count(*) > 1
ORDER BY tenant_id, aggregate_id, version LIMIT 100
"""
_GAPS = """
SELECT l.aggregate_id, l.version, l.place, l.due
FROM (
    SELECT k.aggregate_id, k.version, k.place, 1 + coalesce(
        lag(k.version) OVER (PARTITION BY k.tenant_id, k.aggregate_id ORDER BY k.version),
        (SELECT max(e.version) FROM {events} AS e
        WHERE e.tenant_id = k.tenant_id AND e.aggregate_id = k.aggregate_id),
        0
    ) AS due
    FROM (
        SELECT tenant_id, aggregate_id, version, min(place) AS place
        FROM pg_temp.lost_events GROUP BY tenant_id, aggregate_id, version
    ) AS k
) AS l
WHERE l.version <> l.due
ORDER BY l.aggregate_id, l.version LIMIT 100
"""
_TWO_OUTCOMES = """
SELECT command_id FROM pg_temp.lost_outcomes
GROUP BY tenant_id, command_id HAVING count(*) > 1 ORDER BY tenant_id, command_id LIMIT 100
"""
# Seconds for a statement over all that was kept.
_LONG = 3_600.0


class Scratch:
    """The temporary tables of one connection."""

    def __init__(self, work: Work) -> None:
        self._conn, self._tables = work.conn, work.context.store.tables

    async def make(self) -> None:
        """Make the tables anew, empty."""
        await self._conn.execute(_TABLES)

    async def add_events(self, events: Iterable[LostEvent]) -> None:
        """Keep events that the database lacks."""
        rows = [(*event.row, event.place) for event in events]
        if rows:
            await self._conn.execute(_ADD_EVENTS, *zip(*rows, strict=True))

    async def add_outcomes(self, outcomes: Iterable[LostOutcome]) -> None:
        """Keep outcomes that the database lacks."""
        rows = [
            (
                *outcome.key,
                outcome.headers,
                outcome.value,
                sha256(outcome.headers.encode() + outcome.value).digest(),
            )
            for outcome in outcomes
        ]
        if rows:
            await self._conn.execute(_ADD_OUTCOMES, *zip(*rows, strict=True))

    async def add_unanswered(self, events: Iterable[LostEvent]) -> None:
        """Keep the commands of events that have no outcome in the database."""
        rows = [(event.key.tenant_id, event.command_id, event.key.aggregate_id) for event in events]
        if rows:
            await self._conn.execute(_ADD_UNANSWERED, *zip(*rows, strict=True))

    async def outcomes(self, commands: Sequence[CommandKey]) -> dict[CommandKey, LostOutcome]:
        """Return the kept outcomes of commands."""
        if not commands:
            return {}
        return {
            found.key: found
            for found in map(_read, await self._conn.fetch(_FIND, *zip(*commands, strict=True)))
        }

    async def with_events(self, commands: Sequence[CommandKey]) -> dict[CommandKey, UUID]:
        """Return those of the commands that events were kept of, with their order."""
        if not commands:
            return {}
        rows = await self._conn.fetch(_HAVE_EVENTS, *zip(*commands, strict=True))
        return {(tenant_id, command_id): order_id for tenant_id, command_id, order_id in rows}

    async def outcomes_left(self, after: CommandKey, limit: int) -> list[LostOutcome]:
        """Return, past a key, kept outcomes that the database still lacks."""
        return [_read(row) for row in await self._conn.fetch(_OUTCOMES_LEFT, *after, limit)]

    async def unanswered_left(self, after: CommandKey, limit: int) -> list[asyncpg.Record]:
        """Return, past a key, commands with events that still have no outcome: tenant, command, order."""
        return list(await self._conn.fetch(_UNANSWERED_LEFT, *after, limit))

    async def counts(self) -> tuple[int, int]:
        """Return how many outcomes, and how many commands with events but no outcome on the topic either."""
        outcomes: int = await self._conn.fetchval("SELECT count(*) FROM pg_temp.lost_outcomes", timeout=_LONG)
        unanswered: int = await self._conn.fetchval(
            "SELECT count(*) FROM pg_temp.unanswered LEFT JOIN pg_temp.lost_outcomes AS l"
            " USING (tenant_id, command_id) WHERE l.value IS NULL",
            timeout=_LONG,
        )
        return outcomes, unanswered

    async def events(self) -> int:
        """Return how many events were kept."""
        return int(await self._conn.fetchval("SELECT count(*) FROM pg_temp.lost_events", timeout=_LONG))

    async def judge_events(self) -> list[str]:
        """Name what contradicts among the kept events, once all are kept: an order's may lie anywhere.

        That is two events as one version, and a version without the one before it.
        """
        await self._conn.execute("ANALYZE pg_temp.lost_events", timeout=_LONG)
        told = [
            f"{row['places'][0]} and {row['places'][1]} have different events as version {row['version']}"
            f" of {self._tables.aggregate} {row['aggregate_id']}"
            for row in await self._conn.fetch(_TWO_EVENTS, timeout=_LONG)
        ]
        told += [
            f"{row['place']} has version {row['version']} of {self._tables.aggregate} {row['aggregate_id']},"
            f" and neither the topic nor the database has version {row['due']}"
            for row in await self._conn.fetch(self._tables.sql(_GAPS), timeout=_LONG)
        ]
        return told

    async def judge_outcomes(self) -> list[str]:
        """Name the commands that different outcomes were kept of."""
        rows = await self._conn.fetch(_TWO_OUTCOMES, timeout=_LONG)
        return [f"the topic has different outcomes of the command {row['command_id']}" for row in rows]


def _read(row: asyncpg.Record) -> LostOutcome:
    attributes = {
        name.removeprefix("ce_"): (value or b"").decode() for name, value in decode_headers(row["headers"])
    }
    return read_outcome(row["headers"], row["value"], Attributes(attributes))
