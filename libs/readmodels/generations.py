"""The generations of a read model: each has its own tables, one of them is live."""

import asyncio
from datetime import datetime
from typing import Literal, NamedTuple

import asyncpg
import structlog

from readmodels import ReadModel, tables_of
from readmodels.assignment import RebuildNeeded
from readmodels.checkpoints import forget_all

log = structlog.get_logger(__name__)

# What an earlier build left is brought up in place, and whoever holds it keeps others waiting no longer.
_LOCKED_WITHIN = "2s"
_LOCKED_RETRY = 1.0

# CREATE ... IF NOT EXISTS alone can fail when two processes make the same table at the same moment.
LOCK_GENERATIONS = "SELECT pg_advisory_xact_lock(hashtextextended('tillstream.projections', 0))"
_LIVE = "SELECT * FROM projections.generations WHERE state = 'live'"
_OF = "SELECT * FROM projections.generations WHERE read_model = $1 ORDER BY generation"
_MAKE = "INSERT INTO projections.generations (read_model, generation, state, version) VALUES ($1, $2, $3, $4)"
# No number comes twice: what an earlier build left behind is never taken for this one's.
_NEXT = """
SELECT 1 + greatest(
    (SELECT max(generation) FROM projections.generations WHERE read_model = $1),
    (SELECT max(generation) FROM operations.builds WHERE read_model = $1)
)
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
_UNWANT = """
UPDATE projections.generations SET drop_requested = true
WHERE read_model = $1 AND state = $2 AND generation = coalesce($3, generation) RETURNING generation
"""
_PARTITIONS = (
    "SELECT DISTINCT partition FROM projections.checkpoints WHERE read_model = $1 AND generation = $2"
)
_READERS = """
SELECT DISTINCT quote_ident(v.relname) AS name
FROM pg_class AS t
JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
JOIN pg_class AS v ON v.oid = r.ev_class
WHERE t.relnamespace = 'projections'::regnamespace AND t.relname = ANY ($1)
    AND v.relnamespace = 'read_models'::regnamespace
"""
_FORGET = "DELETE FROM projections.generations WHERE read_model = $1 AND generation = $2"

State = Literal["building", "live", "previous"]


class Generation(NamedTuple):
    """One set of a read model's tables: being built, live, or the previous one, kept for a rollback."""

    read_model: str
    generation: int
    state: State
    version: int
    created_at: datetime
    drop_requested: bool


def _generation(row: asyncpg.Record) -> Generation:
    return Generation(*(row[name] for name in Generation._fields))


async def live_generations(conn: asyncpg.Connection) -> dict[str, Generation]:
    """Return read model → its live generation; one that has never started is absent."""
    return {row["read_model"]: _generation(row) for row in await conn.fetch(_LIVE)}


async def live_tables(conn: asyncpg.Connection, read_model: type[ReadModel]) -> ReadModel | None:
    """Return the live generation, if this version of the read model knows its tables."""
    found = (await live_generations(conn)).get(read_model.name)
    live = None if found is None else read_model(found.generation)
    return live if live is not None and await live.has_orders_table(conn) else None


async def read_generations(conn: asyncpg.Connection, read_model: str) -> list[Generation]:
    """Return a read model's generations, oldest first, those that are about to be dropped too."""
    return [_generation(row) for row in await conn.fetch(_OF, read_model)]


async def begin_next(conn: asyncpg.Connection, read_model: type[ReadModel]) -> ReadModel:
    """Make the tables of a new generation, within the caller's transaction, which holds LOCK_GENERATIONS."""
    generation = read_model(await conn.fetchval(_NEXT, read_model.name))
    await conn.execute(_MAKE, generation.name, generation.generation, "building", generation.version)
    await generation.create_tables(conn)
    return generation


async def make_live(conn: asyncpg.Connection, read_model: str, generation: int) -> None:
    """Put a generation in the place of the live one, which becomes the previous; readers are not led over."""
    await conn.execute(_RETIRE, read_model, generation)
    await conn.execute(_RAISE, read_model, generation)


async def request_drop(
    conn: asyncpg.Connection, read_model: str, state: State, generation: int | None = None
) -> list[int]:
    """Ask for the generations in a state (None: all) to be dropped by a projector; return which."""
    return [row[0] for row in await conn.fetch(_UNWANT, read_model, state, generation)]


async def open_live(conn: asyncpg.Connection, read_model: type[ReadModel]) -> ReadModel:
    """Return the live generation, made with its tables and views where they are missing.

    Where somebody dropped tables, what the checkpoints say of them is forgotten. Raises RebuildNeeded when
    the live tables were made by another version of the read model.
    """
    while True:
        try:
            async with conn.transaction():
                await conn.execute(LOCK_GENERATIONS)
                await conn.execute(f"SET LOCAL lock_timeout = '{_LOCKED_WITHIN}'")
                return await _open_live(conn, read_model)
        except asyncpg.LockNotAvailableError as reason:
            log.warning("generation.locked", read_model=read_model.name, reason=str(reason))
        await asyncio.sleep(_LOCKED_RETRY)


async def _open_live(conn: asyncpg.Connection, read_model: type[ReadModel]) -> ReadModel:
    found = (await live_generations(conn)).get(read_model.name)
    if found is None:
        await conn.execute(_MAKE, read_model.name, 1, "live", read_model.version)
    elif found.version != read_model.version:
        raise RebuildNeeded(
            f"the tables of {read_model.name} were made by its version {found.version},"
            f" this build has version {read_model.version}"
        )
    live = read_model(1 if found is None else found.generation)
    before = await tables_of(conn, live.name, live.generation)
    await live.create_tables(conn)
    if before != await tables_of(conn, live.name, live.generation):
        # Sums over orders that are gone: to be counted again, not twice.
        for row in await conn.fetch(_PARTITIONS, live.name, live.generation):
            await live.settle(conn, row["partition"])
        await forget_all(conn, live.name, live.generation)
    if not await live.is_published(conn):
        await live.publish(conn)
    return live


async def drop_generation(conn: asyncpg.Connection, read_model: str, generation: int) -> None:
    """Drop a generation that is not live, with its tables, its checkpoints and what it parked.

    Within the caller's transaction. It is told by names alone: another version of the code may have made it.
    A view of ours that still reads it goes too: only that version had it, and a rollback left it behind.
    """
    tables = list((await tables_of(conn, read_model, generation)).values())
    for row in await conn.fetch(_READERS, tables):
        await conn.execute(f"DROP VIEW read_models.{row['name']}")
    for table in tables:
        await conn.execute(f'DROP TABLE projections."{table}"')
    await forget_all(conn, read_model, generation)
    await conn.execute(_FORGET, read_model, generation)


async def publish(conn: asyncpg.Connection, generation: ReadModel) -> None:
    """Let the read model's views read a generation, within the caller's transaction.

    Raises DependentObjectsStillExistError when another version's view has other columns, so that it has to be
    made anew, and somebody's own views read it.
    """
    try:
        async with conn.transaction():
            await generation.publish(conn)
    except asyncpg.InvalidTableDefinitionError:
        # A view that is replaced keeps its columns. The grants on a new one are the schema's default ones.
        for view in generation.views:
            await conn.execute(f'DROP VIEW IF EXISTS read_models."{view}"')
        await generation.publish(conn)
