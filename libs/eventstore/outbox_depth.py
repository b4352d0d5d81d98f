"""How much waits in the outbox, and since when: for the relay's metrics and for an operator's eyes."""

from __future__ import annotations

from typing import NamedTuple

import asyncpg

# Counting costs as much as reading what is counted.
COUNTED = 10_000

# Ids are given in sequence and rows leave from the low end: a long queue holds nearly all between its ends.
_DEPTH = """
SELECT CASE WHEN counted < $1 THEN counted ELSE (SELECT max(id) - min(id) + 1 FROM outbox) END AS rows,
    coalesce((
        SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM outbox ORDER BY id LIMIT 1
    ), 0) AS oldest_seconds
FROM (SELECT count(*) AS counted FROM (SELECT id FROM outbox LIMIT $1) AS oldest) AS counting
"""


class OutboxDepth(NamedTuple):
    """Messages that wait to be published, and the age of the oldest in seconds; 0 when none waits."""

    rows: int
    oldest_seconds: float


async def outbox_depth(conn: asyncpg.Connection) -> OutboxDepth:
    """Return the outbox's depth; from COUNTED rows on it is estimated from their ids.

    For roles that may read the outbox's ids and times.
    """
    (row,) = await conn.fetch(_DEPTH, COUNTED)
    return OutboxDepth(row["rows"] or 0, row["oldest_seconds"])
