"""Asking for a build; what can't be built is refused before anything is asked for."""

from __future__ import annotations

import asyncpg

from operations.errors import OperationRefused
from operations.rebuild.builds import Build, BuildRefused, open_build, read_generations, request_build
from readmodels import READ_MODELS

_FOLLOW = "`till rebuild {name} --follow` shows how far it is, `--cancel` ends it."


async def ask_for_rebuild(
    conn: asyncpg.Connection, name: str, action_id: int, *, throttle: int | None, hold: bool
) -> int:
    """Ask for a new generation, by this till's version of the read model, and return the build's id.

    Raises OperationRefused.
    """
    version = READ_MODELS[name].version
    live = [each for each in await read_generations(conn, name) if each.state == "live"]
    if not live:
        raise OperationRefused(f"{name} has no tables yet.", "Its projector makes them when it first starts.")
    if live[0].version > version:
        raise OperationRefused(
            f"{name} is of version {live[0].version}, and this till knows version {version}.",
            f"Use the till of the newer build, or go back with `till rebuild {name} --rollback`.",
        )
    try:
        return await request_build(conn, name, "rebuild", version, action_id, throttle=throttle, hold=hold)
    except BuildRefused as refused:
        raise _told(name, refused) from refused


async def ask_for_rollback(conn: asyncpg.Connection, name: str, action_id: int) -> int:
    """Ask for the swap back to the kept generation, and return the build's id. Raises OperationRefused."""
    kept = [each for each in await read_generations(conn, name) if each.state == "previous"]
    if not kept:
        raise OperationRefused(
            f"No generation of {name} is kept to go back to.", f"`till rebuild {name}` makes a new one."
        )
    last = kept[-1]
    try:
        return await request_build(
            conn, name, "rollback", last.version, action_id, generation=last.generation
        )
    except BuildRefused as refused:
        raise _told(name, refused) from refused


async def under_way(conn: asyncpg.Connection, name: str) -> Build:
    """Return the build that is under way. Raises OperationRefused when there is none."""
    build = await open_build(conn, name)
    if build is None:
        raise OperationRefused(f"No build of {name} is under way.", f"`till rebuild {name}` begins one.")
    return build


def _told(name: str, refused: BuildRefused) -> OperationRefused:
    text = str(refused)
    return OperationRefused(f"{text[0].upper()}{text[1:]}.", _FOLLOW.format(name=name))
