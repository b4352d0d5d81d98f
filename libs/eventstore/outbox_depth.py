"""How much waits in the outbox, and since when: for the relay's metrics and for an operator's eyes."""

from typing import NamedTuple

import asyncpg

# Counting costs as much as reading what is counted.
COUNTED = 10_000

# Ids are given in sequence and rows leave from the low end: a long queue holds nearly all between its ends.
_DEPTH = """
SELECT CASE
        WHEN counted < $1 THEN counted ELSE (SELECT max(id) - min(id) + 1 FROM outbox WHERE id >= $2)
    END AS rows,
    coalesce((
        SELECT extract(epoch FROM clock_timestamp() - created_at)::float8
        FROM outbox WHERE id >= $2 ORDER BY id LIMIT 1
    ), 0) AS oldest_seconds
FROM (SELECT count(*) AS counted FROM (SELECT id FROM outbox WHERE id >= $2 LIMIT $1) AS oldest) AS counting
"""


class OutboxDepth(NamedTuple):
    """Messages that wait to be published, and the age of the oldest in seconds; 0 when none waits."""

    rows: int
    oldest_seconds: float


async def outbox_depth(conn: asyncpg.Connection, lowest: int = 0) -> OutboxDepth:
    """Return the outbox's depth; from COUNTED rows on it is estimated from their ids.

    Who knows the `lowest` id that there can be spares the look at the dead rows below it. For roles that may
    read the outbox's ids and times.
    """
    (row,) = await conn.fetch(_DEPTH, COUNTED, lowest)
    return OutboxDepth(row["rows"] or 0, row["oldest_seconds"])
