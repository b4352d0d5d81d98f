"""What the dead-letter limit holds back, as an operator sees it, and how it is let go on."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

import asyncpg

from commands import Hold
from messaging import KafkaConnection, TopicReader
from operations.actions import recorded
from operations.errors import NotFound
from operations.reaching_kafka import reaching_kafka

_HELD = """
SELECT hold.id, topic, partition, source, first_offset, reason, held_since, released_to,
    records, started_at, actor
FROM operations.holds AS hold
CROSS JOIN LATERAL (SELECT count(*) AS records FROM operations.set_aside WHERE hold_id = hold.id) AS noted
LEFT JOIN operations.actions AS released ON released.id = released_by
WHERE released_to IS NULL OR records > 0 ORDER BY hold.id
"""
_RELEASE = """
UPDATE operations.holds SET released_to = $2, released_by = $3 WHERE id = $1 AND released_to IS NULL
"""


class HeldBack(NamedTuple):
    """A hold, how many records are set aside by it, and by whom and when it was released.

    What is released stays here until its last record is judged.
    """

    hold: Hold
    records: int
    released_at: datetime | None
    released_by: str | None


async def list_held_back(conn: asyncpg.Connection) -> list[HeldBack]:
    """Return what is held back of topics of commands, the oldest first."""
    found = []
    for row in await conn.fetch(_HELD):
        *hold, records, released_at, released_by = row
        found.append(HeldBack(Hold(*hold), records, released_at, released_by))
    return found


async def release(
    conn: asyncpg.Connection,
    kafka: KafkaConnection,
    ids: Collection[int] | None,
    *,
    actor: str,
    note: str,
) -> list[HeldBack]:
    """Let what is held back go on (None: all of it), each as an action of `actor`; return what was let go.

    What is on its partition by now counts towards the limit no more. Raises NotFound, with nothing released,
    for an id that holds nothing, or when nothing is held; and Unreachable.
    """
    held = {each.hold.id: each for each in await list_held_back(conn) if each.released_at is None}
    missing = sorted(set(ids or ()) - held.keys())
    if missing or not held:
        told = (
            f"Nothing is held back by {', '.join(map(str, missing))}." if missing else "Nothing is held back."
        )
        raise NotFound("no_hold", told)
    chosen = [held[each] for each in sorted(held if ids is None else set(ids))]
    ends = {topic: await _ends(kafka, topic) for topic in {each.hold.topic for each in chosen}}
    for each in chosen:
        hold = each.hold
        arguments = {"hold": hold.id, "held": hold.what, "note": note}
        async with recorded(conn, actor, "dead-letters release", arguments) as action:
            end = ends[hold.topic].get(hold.partition, hold.first_offset)
            action.details.update(records=each.records, released_to=end)
            await conn.execute(_RELEASE, hold.id, end, action.id)
    return chosen


async def _ends(kafka: KafkaConnection, topic: str) -> dict[int, int]:
    with reaching_kafka(kafka):
        async with TopicReader.open(kafka, topic) as reader:
            return dict(reader.ends)
