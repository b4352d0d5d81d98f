"""What the topics hold and the database lacks, kept in temporary tables of the session: it may be much."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncpg

from eventstore import decode_headers
from messaging.attributes import Attributes
from till.recovery.lost_messages import CommandKey, LostEvent, LostOutcome, read_outcome

# By code point, as in the store.
_TABLES = """
DROP TABLE IF EXISTS pg_temp.lost_outcomes, pg_temp.unanswered;
CREATE TEMPORARY TABLE lost_outcomes (
    tenant_id text COLLATE "C" NOT NULL,
    command_id uuid NOT NULL,
    headers text NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (tenant_id, command_id)
);
CREATE TEMPORARY TABLE unanswered (
    tenant_id text COLLATE "C" NOT NULL,
    command_id uuid NOT NULL,
    order_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, command_id)
);
"""
_ADD_OUTCOMES = """
INSERT INTO pg_temp.lost_outcomes SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bytea[])
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
SELECT tenant_id, command_id FROM unnest($1::text[], $2::uuid[]) AS k (tenant_id, command_id)
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


class Scratch:
    """The temporary tables of one connection."""

    def __init__(self, conn: asyncpg.Connection) -> None:
        self._conn = conn

    async def make(self) -> None:
        """Make the tables anew, empty."""
        await self._conn.execute(_TABLES)

    async def add_outcomes(self, outcomes: Iterable[LostOutcome]) -> None:
        """Keep outcomes that the database lacks."""
        rows = [(*outcome.key, outcome.headers, outcome.value) for outcome in outcomes]
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

    async def with_events(self, commands: Sequence[CommandKey]) -> set[CommandKey]:
        """Return those of the commands that events were kept of."""
        if not commands:
            return set()
        return {
            (row[0], row[1]) for row in await self._conn.fetch(_HAVE_EVENTS, *zip(*commands, strict=True))
        }

    async def outcomes_left(self, after: CommandKey, limit: int) -> list[LostOutcome]:
        """Return, past a key, kept outcomes that the database still lacks."""
        return [_read(row) for row in await self._conn.fetch(_OUTCOMES_LEFT, *after, limit)]

    async def unanswered_left(self, after: CommandKey, limit: int) -> list[asyncpg.Record]:
        """Return, past a key, commands with events that still have no outcome: tenant, command, order."""
        return list(await self._conn.fetch(_UNANSWERED_LEFT, *after, limit))

    async def counts(self) -> tuple[int, int]:
        """Return how many outcomes, and how many commands with events but no outcome on the topic either."""
        outcomes: int = await self._conn.fetchval("SELECT count(*) FROM pg_temp.lost_outcomes")
        unanswered: int = await self._conn.fetchval(
            "SELECT count(*) FROM pg_temp.unanswered LEFT JOIN pg_temp.lost_outcomes AS l"
            " USING (tenant_id, command_id) WHERE l.value IS NULL"
        )
        return outcomes, unanswered


def _read(row: asyncpg.Record) -> LostOutcome:
    attributes = {
        name.removeprefix("ce_"): (value or b"").decode() for name, value in decode_headers(row["headers"])
    }
    return read_outcome(row["headers"], row["value"], Attributes(attributes))
