"""The swap: in one transaction the view, the pointer to the live generation and the fences change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

import asyncpg
import structlog

from projector.building.catching_up import CatchingUp, at_or_past
from projector.building.record import Build
from readmodels import ReadModel
from readmodels.generations import LOCK_GENERATIONS, publish

log = structlog.get_logger(__name__)

# A writer of the live generation holds its checkpoints for a batch.
WRITERS_WITHIN = "2s"
# While the swap waits for a reader's lock on the view, later readers wait behind it; so it gives up soon.
READERS_WITHIN = "300ms"
# The live generation stands still for as long as the new one makes up for the last of it.
MAKE_UP_WITHIN = 2.0
_MAKE_UP_INTERVAL = 0.02

_LIVE = "SELECT generation FROM projections.generations WHERE read_model = $1 AND state = 'live'"
_LOCK = """
SELECT partition, topic_id, next_offset, refolding OR next_offset < coalesce(replay_until, 0) AS replaying
FROM projections.checkpoints
WHERE read_model = $1 AND generation = $2 AND topic = $3
ORDER BY partition FOR UPDATE
"""
_FENCE = "UPDATE projections.checkpoints SET epoch = epoch + 1 WHERE read_model = $1 AND generation = $2"
# What Kafka is known to have committed for the read model's group goes on to be known.
_HAND_OVER = """
UPDATE projections.checkpoints AS new SET acknowledged_offset = old.acknowledged_offset
FROM projections.checkpoints AS old
WHERE new.read_model = $1 AND new.generation = $3 AND old.read_model = $1 AND old.generation = $2
    AND old.topic = new.topic AND old.partition = new.partition AND old.topic_id = new.topic_id
"""
# One generation is kept for a rollback: an older one goes.
_RETIRE = """
UPDATE projections.generations SET
    state = 'previous', drop_requested = drop_requested OR state = 'previous'
WHERE read_model = $1 AND generation <> $2 AND state IN ('live', 'previous')
"""
# What was no longer wanted while it was kept is wanted now.
_RAISE = """
UPDATE projections.generations SET state = 'live', drop_requested = false
WHERE read_model = $1 AND generation = $2
"""
_SWAPPED = """
UPDATE operations.builds SET state = 'swapped', finished_at = clock_timestamp()
WHERE id = $1 AND NOT cancel_requested AND NOT hold RETURNING true
"""


class _NotYet(Exception):
    """Something is not as the swap needs it; the text says what."""


class _Place(NamedTuple):
    topic_id: UUID
    next_offset: int
    replaying: bool


async def try_swap(
    conn: asyncpg.Connection, build: Build, generation: ReadModel, topic: str, catching_up: CatchingUp
) -> bool:
    """Swap a generation in; False when it could not be done now, and then nothing has changed.

    The old generation's writers wait at its checkpoints while the new one gets to where they are: no reader
    sees an order go back. Then they are fenced. Raises RebuildNeeded when the topic that the new one speaks
    of is gone, and KafkaError.
    """
    # Before any lock: Kafka may take its time.
    await catching_up.check_topic()
    try:
        async with conn.transaction():
            await conn.execute(LOCK_GENERATIONS)
            await conn.execute(f"SET LOCAL lock_timeout = '{WRITERS_WITHIN}'")
            old: int = await conn.fetchval(_LIVE, generation.name)
            await _come_level(conn, old, generation, topic, catching_up)
            await conn.execute(f"SET LOCAL lock_timeout = '{READERS_WITHIN}'")
            await publish(conn, generation)
            await _change_places(conn, build, old, generation)
    except (_NotYet, asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as reason:
        log.info("build.swap_put_off", build=build.id, reason=str(reason))
        return False
    log.info("build.swapped", build=build.id, live=generation.generation, previous=old)
    return True


async def _come_level(
    conn: asyncpg.Connection, old: int, generation: ReadModel, topic: str, catching_up: CatchingUp
) -> None:
    """Lock both generations' checkpoints, the new one's at or past the old one's. Raises _NotYet."""
    theirs = await _lock(conn, generation.name, old, topic)
    due = await _due(theirs, catching_up)
    await _make_up(due, catching_up)
    ours = await _lock(conn, generation.name, generation.generation, topic)
    if not at_or_past(_offsets(ours), due):
        raise _NotYet("the live generation is ahead")
    if any(ours[partition].replaying or theirs[partition].replaying for partition in due):
        raise _NotYet("a rewind is being made up for")


async def _change_places(conn: asyncpg.Connection, build: Build, old: int, new: ReadModel) -> None:
    await conn.execute(_HAND_OVER, new.name, old, new.generation)
    await conn.execute(_FENCE, new.name, old)
    await conn.execute(_RETIRE, new.name, new.generation)
    await conn.execute(_RAISE, new.name, new.generation)
    if not await conn.fetchval(_SWAPPED, build.id):
        raise _NotYet("the operator wants something else by now")


async def _lock(conn: asyncpg.Connection, name: str, generation: int, topic: str) -> dict[int, _Place]:
    rows = await conn.fetch(_LOCK, name, generation, topic)
    return {row["partition"]: _Place(*tuple(row)[1:]) for row in rows}


async def _due(theirs: Mapping[int, _Place], catching_up: CatchingUp) -> dict[int, int]:
    """Return the offsets to get to; those of a topic that was deleted since say nothing of this one."""
    topic_id = await catching_up.topic_id()
    return {number: place.next_offset for number, place in theirs.items() if place.topic_id == topic_id}


def _offsets(places: Mapping[int, _Place]) -> dict[int, int]:
    return {number: place.next_offset for number, place in places.items()}


async def _make_up(due: Mapping[int, int], catching_up: CatchingUp) -> None:
    deadline = time.monotonic() + MAKE_UP_WITHIN
    while not at_or_past(await catching_up.places(), due):
        catching_up.check()
        if time.monotonic() > deadline:
            raise _NotYet("the live generation is ahead")
        await asyncio.sleep(_MAKE_UP_INTERVAL)
