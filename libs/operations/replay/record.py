"""Replays that operators asked for: one at a time for each read model, kept so that each can be ended.

A replay's states: `pausing` (the projectors are to leave their group; nothing has changed), `resetting` (its
offsets are known, and may have been committed), `replaying` (the projectors make up for it by themselves).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import asyncpg
from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from operations.errors import AlreadyUnderWay
from operations.operation_lock import take_turn
from operations.pauses import pause, resume

State = Literal["pausing", "resetting", "replaying", "done", "cancelled"]

# Held for as long as a process works at a replay: one that died lets go with its connection.
_HOLD = "SELECT pg_try_advisory_lock(hashtextextended('tillstream.replay.' || $1, 0))"
_BEGIN = (
    "INSERT INTO operations.replays (action_id, read_model, state, plan) VALUES ($1, $2, 'pausing', '[]')"
)
_OPEN = """
SELECT action_id, read_model, state, plan, actor, started_at, arguments
FROM operations.replays JOIN operations.actions ON id = action_id
WHERE read_model = $1 AND state NOT IN ('done', 'cancelled')
"""
_BUILD = """
SELECT kind, requested_at, actor FROM operations.builds LEFT JOIN operations.actions AS a ON a.id = action_id
WHERE read_model = $1 AND state NOT IN ('swapped', 'failed', 'cancelled')
"""
_ADVANCE = """
UPDATE operations.replays SET state = $3, plan = coalesce($4::jsonb, plan), changed_at = now()
WHERE action_id = $1 AND state = $2 RETURNING true
"""
_RATE = """
SELECT (details->>'events_per_second')::float8
FROM operations.results JOIN operations.actions ON id = action_id
WHERE action = 'replay' AND arguments->>'read_model' = $1 AND details ? 'events_per_second'
ORDER BY id DESC LIMIT 1
"""


class Planned(NamedTuple):
    """One partition of a replay: the group's offset moves from `committed` to `to`.

    `end`, `epoch` and `generation` are those of the checkpoint at that moment, None where there was none: the
    replay has been made up for once a later epoch is at `end` again. `rewinds` tells whether the projector
    will follow; a move ahead it refuses. `last_decision` is the number of the last one that was kept by then.
    """

    partition: int
    committed: int | None
    to: int
    end: int | None
    epoch: int | None
    generation: int | None
    rewinds: bool
    last_decision: int = 0

    @property
    def events(self) -> int:
        """Events that are read again."""
        return max(0, self.end - self.to) if self.rewinds and self.end is not None else 0


_PLAN = TypeAdapter(list[Planned])


@dataclass(frozen=True)
class Replay:
    """A replay that has not ended: who asked for it, when and with which arguments, and how far it is."""

    action_id: int
    read_model: str
    state: State
    plan: Sequence[Planned]
    actor: str
    started_at: datetime
    arguments: Mapping[str, Any]


async def hold_replays(conn: asyncpg.Connection, read_model: str) -> bool:
    """Be the one who works at this read model's replays until the connection closes; False if another is."""
    return await conn.fetchval(_HOLD, read_model) is True


async def open_replay(conn: asyncpg.Connection, read_model: str) -> Replay | None:
    """Return the replay that has not ended."""
    row = await conn.fetchrow(_OPEN, read_model)
    if row is None:
        return None
    plan = _PLAN.validate_json(row["plan"])
    return Replay(
        row["action_id"],
        row["read_model"],
        row["state"],
        plan,
        row["actor"],
        row["started_at"],
        from_json(row["arguments"]),
    )


async def begin_replay(conn: asyncpg.Connection, read_model: str, action_id: int) -> None:
    """Begin a replay by pausing its read model.

    Raises AlreadyUnderWay while another, or a build, has not ended: the text says whose, and since when.
    """
    async with conn.transaction():
        await take_turn(conn, read_model)
        if build := await conn.fetchrow(_BUILD, read_model):
            whose = f", asked for by {build['actor']}" if build["actor"] else ""
            raise _not_replayed(read_model, f"a {build['kind']} since {_told(build['requested_at'])}{whose}")
        if other := await open_replay(conn, read_model):
            raise _not_replayed(read_model, tell_open(other))
        await conn.execute(_BEGIN, action_id, read_model)
        await pause(conn, read_model, "replay", action_id)


async def plan_resets(conn: asyncpg.Connection, replay: Replay, plan: Sequence[Planned]) -> None:
    """Note which offsets are about to be committed.

    Raises AlreadyUnderWay when the replay was ended, or taken on, by another meanwhile.
    """
    await _advance(conn, replay, "pausing", "resetting", plan)


async def let_replay(conn: asyncpg.Connection, replay: Replay) -> None:
    """Let the projectors back, the offsets being committed. Raises as `plan_resets` does."""
    async with conn.transaction():
        await _advance(conn, replay, "resetting", "replaying")
        await resume(conn, replay.read_model, "replay")


async def end_replay(conn: asyncpg.Connection, replay: Replay, how: Literal["done", "cancelled"]) -> None:
    """End a replay in whichever state it is, and its pause with it. Raises as `plan_resets` does."""
    async with conn.transaction():
        await _advance(conn, replay, replay.state, how)
        await resume(conn, replay.read_model, "replay")


async def measured_rate(conn: asyncpg.Connection, read_model: str) -> float | None:
    """Return the events a second of the read model's last finished replay."""
    rate: float | None = await conn.fetchval(_RATE, read_model)
    return rate


def _not_replayed(read_model: str, there_is: str) -> AlreadyUnderWay:
    """Return the refusal of a replay beside something else, which is named with whose it is."""
    message = f"{read_model} is not replayed: there is {there_is}."
    return AlreadyUnderWay("replay_or_build_under_way", message, read_model=read_model)


def tell_open(replay: Replay) -> str:
    """Say whose replay has not ended, since when, and how far it is."""
    return f"a replay of {replay.actor} since {_told(replay.started_at)}, {replay.state}"


async def _advance(
    conn: asyncpg.Connection,
    replay: Replay,
    before: State,
    state: State,
    plan: Sequence[Planned] | None = None,
) -> None:
    written = None if plan is None else to_json([each._asdict() for each in plan]).decode()
    if await conn.fetchval(_ADVANCE, replay.action_id, before, state, written) is None:
        raise _not_replayed(replay.read_model, "another who ended this replay, or took it on")


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"
