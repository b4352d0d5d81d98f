"""The generations of a read model: each has its own tables, one of them is live."""

import asyncpg

from projector.assignment import RebuildNeeded
from readmodels import ReadModel

# CREATE ... IF NOT EXISTS alone can fail when two processes make the same table at the same moment.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('tillstream.projections', 0))"
_LIVE = "SELECT generation, version FROM projections.generations WHERE read_model = $1 AND state = 'live'"
_FIRST = (
    "INSERT INTO projections.generations (read_model, generation, state, version) VALUES ($1, 1, 'live', $2)"
)
_HAS_VIEW = "SELECT to_regclass('read_models.' || quote_ident($1)) IS NOT NULL"


async def open_live(conn: asyncpg.Connection, read_model: type[ReadModel]) -> ReadModel:
    """Return the live generation, made with its tables and view where they are missing.

    Raises RebuildNeeded when the live tables were made by another version of the read model.
    """
    async with conn.transaction():
        await conn.execute(_LOCK)
        row = await conn.fetchrow(_LIVE, read_model.name)
        if row is None:
            await conn.execute(_FIRST, read_model.name, read_model.version)
        elif row["version"] != read_model.version:
            raise RebuildNeeded(
                f"the tables of {read_model.name} were made by its version {row['version']},"
                f" this build has version {read_model.version}"
            )
        live = read_model(1 if row is None else row["generation"])
        await live.create_tables(conn)
        if not await conn.fetchval(_HAS_VIEW, read_model.name):
            await live.publish(conn)
    return live
