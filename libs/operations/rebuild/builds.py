"""Builds of new generations, as an operator asks for them and sees them; a projector carries them out."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import asyncpg
from pydantic_core import from_json

from operations.errors import AlreadyUnderWay, NotFound, OperationRefused
from operations.operation_lock import take_turn
from readmodels import READ_MODELS
from readmodels.generations import Generation, live_generations, read_generations, request_drop

BuildKind = Literal["rebuild", "rollback", "upgrade"]
State = Literal["requested", "scanning", "catching_up", "comparing", "swapped", "failed", "cancelled"]
ENDED: frozenset[State] = frozenset({"swapped", "failed", "cancelled"})

_REQUEST = """
INSERT INTO operations.builds (read_model, kind, action_id, version, throttle, hold, generation)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id
"""
_BUILD = """
SELECT b.id, b.read_model, b.kind, b.state, b.version, b.generation, b.throttle, b.hold, b.cancel_requested,
    b.requested_at, a.actor, b.started_at, b.finished_at,
    extract(epoch FROM clock_timestamp() - coalesce(b.advanced_at, b.requested_at))::float8 AS silent_seconds,
    b.orders_total, b.orders_done, b.comparison, b.error, b.blocked_by
FROM operations.builds AS b LEFT JOIN operations.actions AS a ON a.id = b.action_id
"""
_BY_ID = f"{_BUILD} WHERE b.id = $1"
_OPEN = f"{_BUILD} WHERE b.read_model = $1 AND b.state NOT IN ('swapped', 'failed', 'cancelled')"
_REPLAY = """
SELECT actor, started_at FROM operations.replays JOIN operations.actions ON id = action_id
WHERE read_model = $1 AND state NOT IN ('done', 'cancelled')
"""
_LOOK_SECONDS = 0.3


@dataclass(frozen=True)
class Build:
    """A build: who asked for it (an upgrade: nobody), how far it is, and what came of it.

    `silent_seconds` tells how long nobody has worked at it. `orders_total` is about right, None before the
    scan. `blocked_by` tells who keeps it from being swapped in.
    """

    id: int
    read_model: str
    kind: BuildKind
    state: State
    version: int
    generation: int | None
    throttle: int | None
    hold: bool
    cancel_requested: bool
    requested_at: datetime
    actor: str | None
    started_at: datetime | None
    finished_at: datetime | None
    silent_seconds: float
    orders_total: int | None
    orders_done: int
    comparison: dict[str, Any] | None
    error: str | None
    blocked_by: list[str]

    @property
    def ended(self) -> bool:
        """Whether it is over, well or not."""
        return self.state in ENDED

    @property
    def holds(self) -> bool:
        """Whether it is level and compared, and waits for the operator to let it swap."""
        return self.hold and self.state == "comparing" and self.comparison is not None


def _build(row: asyncpg.Record) -> Build:
    fields = dict(row)
    fields["comparison"] = None if row["comparison"] is None else from_json(row["comparison"])
    return Build(**fields)


async def request_build(
    conn: asyncpg.Connection,
    read_model: str,
    kind: BuildKind,
    version: int,
    action_id: int,
    *,
    throttle: int | None = None,
    hold: bool = False,
    generation: int | None = None,
) -> int:
    """Ask for a build and return its id; `version` is that of the read model's code which is to do it.

    `throttle` is in orders a second (None: as fast as it goes); a build that holds does not swap before
    `release_build`. `generation` is the kept one that a rollback goes back to. Raises AlreadyUnderWay while
    another build or a replay of this read model is, and NotFound when that generation is kept no longer.
    """
    async with conn.transaction():
        await take_turn(conn, read_model)
        if replay := await conn.fetchrow(_REPLAY, read_model):
            raise AlreadyUnderWay(
                "replay_under_way",
                f"A replay of {read_model} is under way, by {replay['actor']}"
                f" since {_told(replay['started_at'])}.",
                read_model=read_model,
            )
        if other := await open_build(conn, read_model):
            raise AlreadyUnderWay("build_under_way", f"A {tell_open(other)}.", read_model=read_model)
        kept = {each.generation for each in await kept_generations(conn, read_model)}
        if generation is not None and generation not in kept:
            raise NotFound(
                "generation_gone",
                f"Generation {generation} of {read_model} is kept no longer.",
                read_model=read_model,
            )
        build: int = await conn.fetchval(
            _REQUEST, read_model, kind, action_id, version, throttle, hold, generation
        )
    return build


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


async def read_build(conn: asyncpg.Connection, build: int) -> Build:
    """Return a build by its id."""
    (row,) = await conn.fetch(_BY_ID, build)
    return _build(row)


async def open_build(conn: asyncpg.Connection, read_model: str) -> Build | None:
    """Return the build of a read model that is under way."""
    row = await conn.fetchrow(_OPEN, read_model)
    return None if row is None else _build(row)


async def under_way(conn: asyncpg.Connection, name: str) -> Build:
    """Return the build that is under way. Raises NotFound when there is none."""
    build = await open_build(conn, name)
    if build is None:
        raise NotFound("no_build", f"No build of {name} is under way.", read_model=name)
    return build


async def cancel_build(conn: asyncpg.Connection, build: int) -> None:
    """Ask for the end of a build; the projector that sees it drops what was built."""
    await conn.execute("UPDATE operations.builds SET cancel_requested = true WHERE id = $1", build)


async def release_build(conn: asyncpg.Connection, build: int) -> None:
    """Let a build that holds swap."""
    await conn.execute("UPDATE operations.builds SET hold = false WHERE id = $1", build)


async def kept_generations(conn: asyncpg.Connection, read_model: str) -> list[Generation]:
    """Return those that can be gone back to, oldest first."""
    found = await read_generations(conn, read_model)
    return [each for each in found if each.state == "previous" and not each.drop_requested]


async def drop_previous(conn: asyncpg.Connection, read_model: str) -> list[int]:
    """Ask for the kept generation to be dropped; return which, none when there was none.

    Raises AlreadyUnderWay while a build is: a rollback needs it.
    """
    async with conn.transaction():
        await take_turn(conn, read_model)
        if build := await open_build(conn, read_model):
            raise AlreadyUnderWay(
                "generation_needed", f"Not now: a {tell_open(build)}.", read_model=read_model
            )
        return await request_drop(conn, read_model, "previous")


async def await_dropped(conn: asyncpg.Connection, read_model: str, *, deadline: float) -> bool:
    """Wait until a projector has dropped what nobody wants, at most so many seconds; tell whether it has."""
    try:
        async with asyncio.timeout(deadline):
            while await _dropping(conn, read_model) or await open_build(conn, read_model):  # noqa: ASYNC110 - what is waited for happens in another process
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        return False
    return True


async def _dropping(conn: asyncpg.Connection, read_model: str) -> bool:
    return any(each.drop_requested for each in await read_generations(conn, read_model))


def tell_open(build: Build) -> str:
    """Return, without an article, whose build is under way, since when, and how far it is."""
    whose = f" by {build.actor}" if build.actor else ""
    state = build.state.replace("_", " ")
    since = _told(build.requested_at)
    return f"{build.kind} of {build.read_model} is under way{whose} since {since}: {state}"


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"
