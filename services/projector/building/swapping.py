"""The swap: in one transaction the view, the pointer to the live generation and the fences change."""

import asyncio
import time
from collections.abc import Mapping

import asyncpg
import structlog

from projector.building.catching_up import CatchingUp, at_or_past
from projector.building.record import BuildJob
from readmodels import ReadModel
from readmodels.checkpoints import Checkpoints, hand_over
from readmodels.generations import LOCK_GENERATIONS, live_generations, make_live, publish

log = structlog.get_logger(__name__)

# A writer of the live generation holds its checkpoints for a batch.
WRITERS_WITHIN = "2s"
# While the swap waits for a reader's lock on the view, later readers wait behind it; so it gives up soon, and
# where a reader has been longer at it than this, it doesn't ask.
READERS_WITHIN = 0.3
# The live generation stands still for as long as the new one makes up for the last of it.
MAKE_UP_WITHIN = 2.0
_MAKE_UP_INTERVAL = 0.02

_SWAPPED = """
UPDATE operations.builds SET state = 'swapped', finished_at = clock_timestamp(), blocked_by = '{}'
WHERE id = $1 AND NOT cancel_requested AND NOT hold RETURNING true
"""


class _NotYet(Exception):
    """Something is not as the swap needs it; the text says what."""


async def try_swap(
    conn: asyncpg.Connection, build: BuildJob, generation: ReadModel, topic: str, catching_up: CatchingUp
) -> bool:
    """Swap a generation in; False when it could not be done now, and then nothing has changed.

    The old generation's writers wait at its checkpoints while the new one gets to where they are: no reader
    sees an order go back. Then they are fenced. Raises RebuildNeeded when the topic that the new one speaks
    of is gone, KafkaError, and LockNotAvailableError where somebody keeps it from a lock.
    """
    # Before any lock: Kafka may take its time.
    await catching_up.check_topic()
    try:
        async with conn.transaction():
            await conn.execute(f"SET LOCAL lock_timeout = '{WRITERS_WITHIN}'")
            await conn.execute(LOCK_GENERATIONS)
            old = (await live_generations(conn))[generation.name].generation
            await _come_level(conn, old, generation, topic, catching_up)
            await conn.execute(f"SET LOCAL lock_timeout = '{READERS_WITHIN}s'")
            await publish(conn, generation)
            await _change_places(conn, build, old, generation)
    except (_NotYet, asyncpg.DeadlockDetectedError) as reason:
        log.info("build.swap_put_off", build=build.id, reason=str(reason))
        return False
    log.info("build.swapped", build=build.id, live=generation.generation, previous=old)
    return True


async def _come_level(
    conn: asyncpg.Connection, old: int, generation: ReadModel, topic: str, catching_up: CatchingUp
) -> None:
    """Lock both generations' checkpoints, the new one's at or past the old one's. Raises _NotYet."""
    theirs = await Checkpoints(generation.name, old, topic).lock(conn)
    # What a topic that was deleted since had says nothing of this one.
    topic_id = await catching_up.topic_id()
    due = {number: each.next_offset for number, each in theirs.items() if each.topic_id == topic_id}
    await _make_up(due, catching_up)
    ours = await Checkpoints(generation.name, generation.generation, topic).lock(conn)
    if not at_or_past({number: each.next_offset for number, each in ours.items()}, due):
        raise _NotYet("the live generation is ahead")
    if any(found[partition].place.replaying for found in (ours, theirs) for partition in due):
        raise _NotYet("a rewind is being made up for")


async def _change_places(conn: asyncpg.Connection, build: BuildJob, old: int, new: ReadModel) -> None:
    await hand_over(conn, new.name, old, new.generation)
    await make_live(conn, new.name, new.generation)
    if not await conn.fetchval(_SWAPPED, build.id):
        raise _NotYet("the operator wants something else by now")


async def _make_up(due: Mapping[int, int], catching_up: CatchingUp) -> None:
    deadline = time.monotonic() + MAKE_UP_WITHIN
    while not at_or_past(await catching_up.places(), due):
        catching_up.check()
        if time.monotonic() > deadline:
            raise _NotYet("the live generation is ahead")
        await asyncio.sleep(_MAKE_UP_INTERVAL)
