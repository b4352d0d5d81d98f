"""How far a build is, look by look, and why nobody works at it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import asyncpg

from operations.pauses import pause_causes
from operations.rebuild.builds import Build, read_build
from readmodels.checkpoints import events_to_catch_up

# A projector looks every half second; one that works at a build shows it more often.
SILENT_AT_MOST = 15.0
_LOOK_SECONDS = 0.3


class Silence(NamedTuple):
    """Nobody works at a build: its read model is paused, or no projector of a version that can does run."""

    paused_by: Sequence[str]
    version: int | None
    """The version that a projector must have; None where any will do."""


class FollowedBuild(NamedTuple):
    """A build as it is now; `to_catch_up` events while it catches up."""

    build: Build
    to_catch_up: int | None
    silence: Silence | None


async def follow(conn: asyncpg.Connection, build_id: int) -> AsyncIterator[FollowedBuild]:
    """Yield a build again and again until it has ended, or holds."""
    while True:
        build = await read_build(conn, build_id)
        to_catch_up = None
        if build.state == "catching_up" and build.generation is not None:
            to_catch_up = await events_to_catch_up(conn, build.read_model, build.generation)
        yield FollowedBuild(build, to_catch_up, await _silence(conn, build))
        if build.ended or build.holds:
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def _silence(conn: asyncpg.Connection, build: Build) -> Silence | None:
    if build.ended or build.holds or build.silent_seconds < SILENT_AT_MOST:
        return None
    causes = await pause_causes(conn, build.read_model)
    return Silence(causes, None if build.cancel_requested else build.version)
