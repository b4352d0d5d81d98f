"""What the dead-letter limit holds back of a topic of commands, as the database keeps it.

A hold is of a partition, or of one source in it. Any process that takes the partition over goes by it, and an
operator ends it.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from commands.requests import NO_SOURCE, Record

COUNTED = 10_000

# The newest of each partition and source tells whether it is held, and up to where it was released.
_READ = """
SELECT DISTINCT ON (partition, source)
    id, topic, partition, source, first_offset, reason, held_since, released_to
FROM operations.holds WHERE topic = $1 ORDER BY partition, source, id DESC
"""
_PLACE = """
INSERT INTO operations.holds (topic, partition, source, first_offset, reason) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""
_SET_ASIDE = """
INSERT INTO operations.set_aside (hold_id, record_offset)
SELECT * FROM unnest($1::bigint[], $2::bigint[]) ON CONFLICT DO NOTHING
"""
# Counting a flood each second would cost more than it tells.
_COUNTS = """
SELECT id, (
    SELECT count(*) FROM (SELECT FROM operations.set_aside WHERE hold_id = id LIMIT $2) AS noted
) AS records
FROM operations.holds WHERE topic = $1 AND source IS NOT NULL
"""
_RELEASED = """
SELECT hold_id, partition, record_offset FROM operations.set_aside JOIN operations.holds ON id = hold_id
WHERE topic = $1 AND partition = ANY($2::integer[]) AND released_to IS NOT NULL
ORDER BY partition, record_offset LIMIT $3
"""
_JUDGED = """
DELETE FROM operations.set_aside USING unnest($1::bigint[], $2::bigint[]) AS judged (hold, at)
WHERE hold_id = hold AND record_offset = at
"""


class Hold(NamedTuple):
    """What is held back since when and why: a partition from an offset on, or a `source` in it.

    `source` is None for the partition itself and NO_SOURCE for what tells none. `released_to` is where the
    partition ended when an operator released it, None while it is held.
    """

    id: int
    topic: str
    partition: int
    source: str | None
    first_offset: int
    reason: str
    held_since: datetime
    released_to: int | None

    @property
    def what(self) -> str:
        """What is held, in words."""
        place = f"{self.topic}/{self.partition}"
        if self.source is None:
            return place
        return f"{self.source if self.source != NO_SOURCE else 'what tells no source'} on {place}"


class SetAside(NamedTuple):
    """Where a record lies that is set aside, and by which hold."""

    hold_id: int
    partition: int
    offset: int


async def read_holds(conn: asyncpg.Connection, topic: str) -> list[Hold]:
    """Return the newest hold of each partition and source of a topic, held or released."""
    return [Hold(*row) for row in await conn.fetch(_READ, topic)]


async def place_hold(conn: asyncpg.Connection, record: Record, source: str | None, reason: str) -> None:
    """Hold the partition back from a record on, or a source in it; what is held already stays as it is."""
    await conn.execute(_PLACE, record.topic, record.partition, source, record.offset, reason)


async def set_aside(conn: asyncpg.Connection, records: Collection[tuple[int, int]]) -> None:
    """Note records by hold and offset; what is noted already is noted once."""
    await conn.execute(_SET_ASIDE, [hold for hold, _ in records], [offset for _, offset in records])


async def count_set_aside(conn: asyncpg.Connection, topic: str) -> Mapping[int, int]:
    """Return a hold's id → how many records it sets aside, COUNTED at most; holds without any are absent."""
    rows = await conn.fetch(_COUNTS, topic, COUNTED)
    return {row["id"]: row["records"] for row in rows if row["records"]}


async def read_released(
    conn: asyncpg.Connection, topic: str, partitions: Collection[int], limit: int
) -> list[SetAside]:
    """Return the first records of these partitions that an operator has released, and nobody has judged."""
    return [SetAside(*row) for row in await conn.fetch(_RELEASED, topic, list(partitions), limit)]


async def judged(conn: asyncpg.Connection, records: Sequence[SetAside]) -> None:
    """Note that what came of records is stored."""
    await conn.execute(_JUDGED, [each.hold_id for each in records], [each.offset for each in records])
