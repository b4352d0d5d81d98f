"""What the topics hold and the database lacks, kept in temporary tables of the session: it may be much."""

from collections.abc import Sequence
from uuid import UUID

from operations.recover.columns import columns_of, lines, unnested
from operations.recover.lost_messages import CommandKey, Told, TopicEvent, TopicOutcome
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
    order_id uuid,
    decided_at timestamptz NOT NULL,
    code text,
    version bigint,
    event_ids uuid[] NOT NULL,
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
_ADD_EVENTS = f"""
INSERT INTO pg_temp.lost_events
SELECT tenant_id, aggregate_id::uuid, version::bigint, event_id::uuid, event_type, schema_version::integer,
    payload, metadata, occurred_at::timestamptz, recorded_at::timestamptz, place
FROM unnest({unnested(*range(1, 11))}, $11::text[]) AS e (
    tenant_id, aggregate_id, version, event_id, event_type, schema_version, metadata, occurred_at,
    recorded_at, place, payload
)
ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants of ours
_ADD_OUTCOMES = f"""
INSERT INTO pg_temp.lost_outcomes
SELECT tenant_id, command_id::uuid, order_id::uuid, decided_at::timestamptz, code, version::bigint,
    event_ids::uuid[], headers, value, decode(digest, 'hex')
FROM unnest({unnested(*range(1, 10))}, $10::bytea[]) AS o (
    tenant_id, command_id, order_id, decided_at, code, version, event_ids, headers, digest, value
)
ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants of ours
_OUTCOMES_LEFT = """
SELECT l.tenant_id, l.command_id::text, l.order_id, l.decided_at, l.code, l.version, l.event_ids
FROM pg_temp.lost_outcomes AS l
WHERE (l.tenant_id, l.command_id) > ($1, $2::text::uuid) AND NOT EXISTS (
    SELECT FROM command_outcomes AS o WHERE o.tenant_id = l.tenant_id AND o.command_id = l.command_id
)
ORDER BY l.tenant_id, l.command_id LIMIT $3
"""
_UNANSWERED_LEFT = """
SELECT u.tenant_id, u.command_id::text, u.order_id FROM pg_temp.unanswered AS u
WHERE (u.tenant_id, u.command_id) > ($1, $2::text::uuid) AND NOT EXISTS (
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

    async def add_events(self, events: Sequence[TopicEvent]) -> None:
        """Keep events that the database lacks."""
        if events:
            # A payload is as it was sent, and may have line ends.
            await self._conn.execute(
                _ADD_EVENTS,
                *columns_of([(*event[:6], *event[7:11]) for event in events]),
                [event.payload for event in events],
            )

    async def add_outcomes(self, outcomes: Sequence[TopicOutcome], digests: Sequence[str]) -> None:
        """Keep outcomes that the database lacks; each one's digest tells it from another of its command."""
        if outcomes:
            await self._conn.execute(
                _ADD_OUTCOMES,
                *columns_of([outcome[:-1] for outcome in outcomes]),
                lines(digests),
                [outcome.value for outcome in outcomes],
            )

    async def outcomes_left(self, after: CommandKey, limit: int) -> dict[CommandKey, Told]:
        """Return, past a key, kept outcomes that the database still lacks."""
        rows = await self._conn.fetch(_OUTCOMES_LEFT, *after, limit)
        return {(tenant_id, command_id): Told.of_row(*told) for tenant_id, command_id, *told in rows}

    async def unanswered_left(self, after: CommandKey, limit: int) -> list[tuple[str, str, UUID]]:
        """Return, past a key, commands with events that still have no outcome: tenant, command, order."""
        return [tuple(row) for row in await self._conn.fetch(_UNANSWERED_LEFT, *after, limit)]

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
        """Name the commands that different outcomes were kept of, once all are kept."""
        await self._conn.execute("ANALYZE pg_temp.lost_outcomes, pg_temp.unanswered", timeout=_LONG)
        rows = await self._conn.fetch(_TWO_OUTCOMES, timeout=_LONG)
        return [f"the topic has different outcomes of the command {row['command_id']}" for row in rows]
