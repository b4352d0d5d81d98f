"""A build's row, as the projector that works at it reads and writes it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import asyncpg
from pydantic_core import to_json

from operations.operation_lock import take_turn
from readmodels import OrderKey
from readmodels.desired_state import add_upgrade
from readmodels.generations import LOCK_GENERATIONS, request_drop

_READ = """
SELECT id, read_model, kind, version, generation, state, throttle, hold, cancel_requested, after_tenant,
    after_order, orders_done
FROM operations.builds WHERE id = $1
"""
_BEAT = """
UPDATE operations.builds SET advanced_at = clock_timestamp()
WHERE id = $1 AND state NOT IN ('swapped', 'failed', 'cancelled') RETURNING cancel_requested, hold
"""
_MOVE = """
UPDATE operations.builds SET after_tenant = $4, after_order = $5, orders_done = orders_done + $6,
    advanced_at = clock_timestamp()
WHERE id = $1 AND state = 'scanning' AND (after_tenant, after_order) IS NOT DISTINCT FROM ($2, $3::uuid)
RETURNING true
"""
_STATE = """
UPDATE operations.builds SET state = $2, advanced_at = clock_timestamp(),
    started_at = coalesce(started_at, clock_timestamp()),
    orders_total = CASE WHEN state = 'scanning' THEN orders_done ELSE orders_total END
WHERE id = $1
"""
_COMPARED = "UPDATE operations.builds SET comparison = $2::jsonb WHERE id = $1"
_BLOCKED = "UPDATE operations.builds SET blocked_by = $2 WHERE id = $1 AND blocked_by <> $2"
_END = """
UPDATE operations.builds SET state = $2, error = $3, finished_at = clock_timestamp(), blocked_by = '{}'
WHERE id = $1 AND state NOT IN ('swapped', 'failed', 'cancelled')
"""
_BEGUN = """
UPDATE operations.builds SET state = 'scanning', generation = $2, orders_total = $3,
    started_at = clock_timestamp(), advanced_at = clock_timestamp()
WHERE id = $1
"""

Step: TypeAlias = Callable[[], Awaitable[object]]
"""Called again and again while a build is worked at; ends it by raising."""


class BuildJob(NamedTuple):
    """A build as it is now; `after` is the last order that the scan has done."""

    id: int
    read_model: str
    kind: str
    version: int
    generation: int | None
    state: str
    throttle: int | None
    hold: bool
    cancel_requested: bool
    after: OrderKey | None
    orders_done: int


class Cancelled(Exception):
    """An operator wants the build to end."""


class TakenOver(Exception):
    """Another process works at this build, or has ended it."""


async def request_upgrade(conn: asyncpg.Connection, read_model: str, version: int) -> bool:
    """Make the build that a newer version needs; False where it was made before, or must wait.

    It waits for the end of another build and of a replay.
    """
    async with conn.transaction():
        await take_turn(conn, read_model)
        return await add_upgrade(conn, read_model, version)


async def read_build(conn: asyncpg.Connection, build: int) -> BuildJob:
    """Return a build by its id."""
    (row,) = await conn.fetch(_READ, build)
    fields = dict(row)
    after = (fields.pop("after_tenant"), fields.pop("after_order"))
    return BuildJob(**fields, after=None if after[1] is None else after)


async def beat(conn: asyncpg.Connection, build: BuildJob) -> bool:
    """Show that somebody works at it; tell whether it is to hold before the swap.

    Raises Cancelled and TakenOver.
    """
    row = await conn.fetchrow(_BEAT, build.id)
    if row is None:
        raise TakenOver
    if row["cancel_requested"]:
        raise Cancelled
    return bool(row["hold"])


async def move_cursor(
    conn: asyncpg.Connection, build: BuildJob, before: OrderKey | None, after: OrderKey, orders: int
) -> None:
    """Move the scan's cursor, in the transaction that writes these orders. Raises TakenOver."""
    if not await conn.fetchval(_MOVE, build.id, *(before or (None, None)), *after, orders):
        raise TakenOver


async def begin_scan(conn: asyncpg.Connection, build: BuildJob, generation: int, orders: int | None) -> None:
    """Note the generation that is made, and about how many orders there are to scan."""
    await conn.execute(_BEGUN, build.id, generation, orders)


async def enter(conn: asyncpg.Connection, build: BuildJob, state: str) -> None:
    """Go on to the next state."""
    await conn.execute(_STATE, build.id, state)


async def keep_comparison(conn: asyncpg.Connection, build: BuildJob, comparison: Mapping[str, Any]) -> None:
    """Keep what came of the comparison."""
    await conn.execute(_COMPARED, build.id, to_json(comparison).decode())


async def tell_blocked(conn: asyncpg.Connection, build: BuildJob, blocked_by: Sequence[str]) -> None:
    """Keep who is in the way of the swap; nobody, where nobody is any more."""
    await conn.execute(_BLOCKED, build.id, list(blocked_by))


async def end(conn: asyncpg.Connection, build: BuildJob, state: str, error: str | None = None) -> None:
    """End a build that did not come to its swap; what it built is to be dropped."""
    async with conn.transaction():
        await conn.execute(LOCK_GENERATIONS)
        if build.generation is not None:
            await request_drop(conn, build.read_model, "building", build.generation)
        await conn.execute(_END, build.id, state, error)
