"""Looks up again and again what the database wants of a read model's projectors, and tells of its rewinds."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import structlog
from prometheus_client import Gauge

from readmodels.checkpoints import live_checkpoints
from readmodels.desired_state import DesiredState, read_desired_state
from readmodels.read_model_status import tell_replay
from runtime import Database, Health, is_passing_fault

log = structlog.get_logger(__name__)

# A paused projector has left its group within two seconds: this, the batch in flight, and the leave itself.
LOOK_INTERVAL = 0.5
REPLAYING = Gauge(
    "tillstream_read_model_replaying",
    "1 while a read model makes up for a rewind: readers see it whole, but parts of it in an older state.",
    ["read_model"],
)


class Replaying:
    """What is told of one read model's rewinds; whichever of its projectors makes up for them."""

    def __init__(self, read_model: str, topic: str, health: Health) -> None:
        self._read_model = read_model
        self._topic = topic
        self._told: str | None = None
        REPLAYING.labels(read_model).set(0)
        health.add_state("replay", lambda: self._told)

    async def look(self, conn: asyncpg.Connection) -> None:
        """Find out from the checkpoints."""
        _, found = await live_checkpoints(conn, self._read_model, self._topic)
        self._told = tell_replay(each.place for each in found.values())
        REPLAYING.labels(self._read_model).set(self._told is not None)


async def keep_looking(
    database: Database,
    read_model: str,
    see: Callable[[DesiredState], None],
    looks: Sequence[Callable[[asyncpg.Connection], Awaitable[None]]],
) -> None:
    """Call `see` with what is wanted, again and again, and the other `looks`; without a database neither.

    Raises what is no passing fault, such as a missing grant.
    """
    while True:
        try:
            conn = await database.connection()
            see(await read_desired_state(conn, read_model))
            for look in looks:
                await look(conn)
        except Exception as error:
            if not is_passing_fault(error):
                raise
            database.discard()
            log.warning("projector.look_failed", error=repr(error))
        await asyncio.sleep(LOOK_INTERVAL)
