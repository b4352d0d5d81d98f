"""Who sends commands to another partition than their orders' others, as the database keeps it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg

_COUNT = """
INSERT INTO operations.commands_elsewhere AS known (topic, source, records)
SELECT $1, * FROM unnest($2::text[], $3::bigint[])
ON CONFLICT (topic, source) DO UPDATE SET records = known.records + excluded.records, last_at = now()
"""
_READ = """
SELECT topic, source, records, first_at, last_at FROM operations.commands_elsewhere
WHERE last_at > now() - $1::interval ORDER BY records DESC, source
"""


class SourceElsewhere(NamedTuple):
    """How many commands of a source (NO_SOURCE: of none that tells one) lay elsewhere, from when to when."""

    topic: str
    source: str
    records: int
    first_at: datetime
    last_at: datetime


async def count_elsewhere(conn: asyncpg.Connection, topic: str, found: Mapping[str, int]) -> None:
    """Add what was found of a topic, source → records."""
    await conn.execute(_COUNT, topic, list(found), list(found.values()))


async def read_elsewhere(conn: asyncpg.Connection, within: timedelta) -> list[SourceElsewhere]:
    """Return the sources that did so within that time, most records first."""
    return [SourceElsewhere(*row) for row in await conn.fetch(_READ, within)]
