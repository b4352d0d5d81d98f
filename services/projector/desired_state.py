"""What the database wants of a read model's projectors: looked up again and again, whatever they do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import asyncpg
import structlog

from projector.replaying import Replaying
from runtime import Database, is_passing_fault

log = structlog.get_logger(__name__)

# A paused projector has left its group within two seconds: this, the batch in flight, and the leave itself.
LOOK_INTERVAL = 0.5

_WANTED = """
SELECT
    ARRAY(SELECT cause FROM operations.pauses WHERE read_model = $1 ORDER BY cause) AS pauses,
    live.generation AS live,
    live.version AS live_version,
    b.id, b.kind, b.version, b.state, b.cancel_requested, b.orders_done, b.orders_total,
    ARRAY(
        SELECT generation FROM projections.generations
        WHERE read_model = $1 AND drop_requested AND state <> 'live' ORDER BY generation
    ) AS to_drop,
    ARRAY(SELECT version FROM operations.builds WHERE read_model = $1 AND kind = 'upgrade') AS upgrades
FROM (SELECT) AS one
LEFT JOIN projections.generations AS live ON live.read_model = $1 AND live.state = 'live'
LEFT JOIN operations.builds AS b
    ON b.read_model = $1 AND b.state NOT IN ('swapped', 'failed', 'cancelled')
"""


class WantedBuild(NamedTuple):
    """A build under way, for the read model's `version`; `orders_total` is not known at first."""

    id: int
    kind: str
    version: int
    state: str
    cancel_requested: bool
    orders_done: int
    orders_total: int | None

    def __str__(self) -> str:
        told = f"{self.kind} of version {self.version}: {self.state.replace('_', ' ')}"
        if self.state == "scanning":
            told += f", {self.orders_done:,} of about {self.orders_total or 0:,} orders"
        return told


class Wanted(NamedTuple):
    """Why the read model is paused (nothing: it is not), and its live generation, if there is one yet.

    Beside it the build that is under way, the generations to drop, and the versions that were upgraded to by
    themselves.
    """

    pauses: tuple[str, ...] = ()
    live: int | None = None
    live_version: int | None = None
    build: WantedBuild | None = None
    to_drop: tuple[int, ...] = ()
    upgrades: tuple[int, ...] = ()


async def look(conn: asyncpg.Connection, read_model: str) -> Wanted:
    """Return what is wanted of a read model's projectors now."""
    (row,) = await conn.fetch(_WANTED, read_model)
    pauses, live, live_version, *build, to_drop, upgrades = tuple(row)
    under_way = None if build[0] is None else WantedBuild(*build)
    return Wanted(tuple(pauses), live, live_version, under_way, tuple(to_drop), tuple(upgrades))


async def keep_looking(
    database: Database, read_model: str, see: Callable[[Wanted], None], replaying: Replaying
) -> None:
    """Call `see` with what is wanted, again and again, and have `replaying` look; without a database neither.

    Raises what is no passing fault, such as a missing grant.
    """
    while True:
        try:
            conn = await database.connection()
            see(await look(conn, read_model))
            await replaying.look(conn)
        except Exception as error:
            if not is_passing_fault(error):
                raise
            database.discard()
            log.warning("projector.look_failed", error=repr(error))
        await asyncio.sleep(LOOK_INTERVAL)
