"""Asking for a build; what can't be built is refused before anything is asked for."""

import asyncpg

from operations.errors import NotFound, OperationRefused
from operations.rebuild.builds import Build, kept_generations, open_build, request_build
from readmodels import READ_MODELS
from readmodels.generations import live_generations


async def ask_for_rebuild(
    conn: asyncpg.Connection, name: str, action_id: int, *, throttle: int | None, hold: bool
) -> int:
    """Ask for a new generation, by this build's version of the read model, and return the build's id.

    Raises NotFound before there are any tables, OperationRefused when they are a newer version's, and what
    `request_build` does.
    """
    version = READ_MODELS[name].version
    live = (await live_generations(conn)).get(name)
    if live is None:
        raise NotFound("no_tables", f"{name} has no tables yet.")
    if live.version > version:
        raise OperationRefused(
            "newer_version",
            f"{name} is of version {live.version}, and this till knows version {version}.",
            read_model=name,
        )
    return await request_build(conn, name, "rebuild", version, action_id, throttle=throttle, hold=hold)


async def ask_for_rollback(conn: asyncpg.Connection, name: str, action_id: int) -> int:
    """Ask for the swap back to the kept generation, and return the build's id.

    Raises NotFound when none is kept, and what `request_build` does.
    """
    kept = await kept_generations(conn, name)
    if not kept:
        raise NotFound(
            "no_generation_kept", f"No generation of {name} is kept to go back to.", read_model=name
        )
    last = kept[-1]
    return await request_build(conn, name, "rollback", last.version, action_id, generation=last.generation)


async def under_way(conn: asyncpg.Connection, name: str) -> Build:
    """Return the build that is under way. Raises NotFound when there is none."""
    build = await open_build(conn, name)
    if build is None:
        raise NotFound("no_build", f"No build of {name} is under way.", read_model=name)
    return build
