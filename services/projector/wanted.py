"""What the database wants of a read model's projectors: looked up again and again, whatever they do."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import asyncpg
import structlog

from runtime import Database, is_passing_fault

log = structlog.get_logger(__name__)

# A paused projector has left its group within two seconds: this, the batch in flight, and the leave itself.
LOOK_INTERVAL = 0.5

_WANTED = """
SELECT
    ARRAY(SELECT cause FROM operations.pauses WHERE read_model = $1 ORDER BY cause) AS pauses,
    (SELECT generation FROM projections.generations WHERE read_model = $1 AND state = 'live') AS live
"""


class Wanted(NamedTuple):
    """Why the read model is paused (nothing: it is not), and its live generation, if there is one yet."""

    pauses: tuple[str, ...]
    live: int | None


async def look(conn: asyncpg.Connection, read_model: str) -> Wanted:
    """Return what is wanted of a read model's projectors now."""
    (row,) = await conn.fetch(_WANTED, read_model)
    return Wanted(tuple(row["pauses"]), row["live"])


async def keep_looking(database: Database, read_model: str, see: Callable[[Wanted], None]) -> None:
    """Call `see` with what is wanted, again and again; while the database is away, nothing changes.

    Raises what is no passing fault, such as a missing grant.
    """
    while True:
        try:
            see(await look(await database.connection(), read_model))
        except Exception as error:
            if not is_passing_fault(error):
                raise
            database.discard()
            log.warning("projector.look_failed", error=repr(error))
        await asyncio.sleep(LOOK_INTERVAL)
