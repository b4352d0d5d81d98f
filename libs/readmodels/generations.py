"""The generations of a read model: each has its own tables, one of them is live."""

from __future__ import annotations

import asyncio

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
_LIVE = "SELECT generation, version FROM projections.generations WHERE read_model = $1 AND state = 'live'"
_FIRST = (
    "INSERT INTO projections.generations (read_model, generation, state, version) VALUES ($1, 1, 'live', $2)"
)
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
    row = await conn.fetchrow(_LIVE, read_model.name)
    if row is None:
        await conn.execute(_FIRST, read_model.name, read_model.version)
    elif row["version"] != read_model.version:
        raise RebuildNeeded(
            f"the tables of {read_model.name} were made by its version {row['version']},"
            f" this build has version {read_model.version}"
        )
    live = read_model(1 if row is None else row["generation"])
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
