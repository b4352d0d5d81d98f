"""Looks up again and again what the database wants of a read model's projectors, whatever they do."""

import asyncio
from collections.abc import Callable

import structlog

from projector.replaying import Replaying
from readmodels.desired_state import DesiredState, read_desired_state
from runtime import Database, is_passing_fault

log = structlog.get_logger(__name__)

# A paused projector has left its group within two seconds: this, the batch in flight, and the leave itself.
LOOK_INTERVAL = 0.5


async def keep_looking(
    database: Database, read_model: str, see: Callable[[DesiredState], None], replaying: Replaying
) -> None:
    """Call `see` with what is wanted, again and again, and have `replaying` look; without a database neither.

    Raises what is no passing fault, such as a missing grant.
    """
    while True:
        try:
            conn = await database.connection()
            see(await read_desired_state(conn, read_model))
            await replaying.look(conn)
        except Exception as error:
            if not is_passing_fault(error):
                raise
            database.discard()
            log.warning("projector.look_failed", error=repr(error))
        await asyncio.sleep(LOOK_INTERVAL)
