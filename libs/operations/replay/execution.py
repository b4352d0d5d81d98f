"""Carries a replay out, from whichever state it is in, and ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg

from operations import pause_causes
from operations.errors import OperationRefused
from operations.groups import wait_until_left
from operations.replay.forecast import forecast
from operations.replay.offsets import Group
from operations.replay.progress import Watch
from operations.replay.record import (
    Replay,
    UnderWay,
    begin_replay,
    end_replay,
    hold_replays,
    let_replay,
    open_replay,
    plan_resets,
    tell_open,
)
from operations.replay.scenarios import Scenario
from till.output import notices


@dataclass
class Execution:
    """One read model's replays, worked at over one connection of the operator's."""

    conn: asyncpg.Connection
    group: Group
    read_model: str

    async def begin(self, action_id: int) -> dict[str, Any]:
        """Begin the replay that was recorded as this action and carry it out; returns what came of it.

        Raises OperationRefused when another replay or a build has not ended, and what `carry_on` does.
        """
        await self._hold()
        if (before := await open_replay(self.conn, self.read_model)) is not None:
            await self._tidy(before)
        try:
            await begin_replay(self.conn, self.read_model, action_id)
        except UnderWay as other:
            raise self._refused(str(other)) from other
        return await self._carry_on(await self._open())

    async def carry_on(self) -> dict[str, Any]:
        """Carry out what is left of the replay that has not ended; returns what came of it.

        Raises OperationRefused when there is none, while its group doesn't empty, and when a server doesn't
        answer: then it can be carried on again.
        """
        await self._hold()
        return await self._carry_on(await self._open())

    async def cancel(self) -> str:
        """End the replay that has not ended, and its pause, and return what that means.

        Raises OperationRefused.
        """
        await self._hold()
        replay = await self._open()
        await end_replay(self.conn, replay, "cancelled")
        match replay.state:
            case "pausing":
                return "Nothing had been reset: the read model goes on where it was."
            case "resetting":
                return "Its offsets may have been reset: then the projectors make up for that by themselves."
            case _:
                return "Its offsets had been reset: the projectors go on making up for that by themselves."

    async def _hold(self) -> None:
        if not await hold_replays(self.conn, self.read_model):
            replay = await open_replay(self.conn, self.read_model)
            raise self._refused(
                "another `till replay`" if replay is None else tell_open(replay), watched=True
            )

    async def _open(self) -> Replay:
        replay = await open_replay(self.conn, self.read_model)
        if replay is None:
            raise OperationRefused(
                f"No replay of {self.read_model} is under way.",
                f"See `till replay {self.read_model} --help`.",
            )
        return replay

    async def _tidy(self, replay: Replay) -> None:
        """End a replay that was left to the projectors and has been made up for since."""
        if replay.state == "replaying":
            watch = Watch(self.conn, self.group, replay)
            if await watch.finished(await watch.look()):
                await end_replay(self.conn, replay, "done")

    def _refused(self, what: str, *, watched: bool = False) -> OperationRefused:
        name = self.read_model
        return OperationRefused(
            f"{name} is not replayed: there is {what}.",
            "Somebody's till is at it: wait for its end, or end it with Ctrl-C."
            if watched
            else f"A replay is finished by `till replay {name} --continue` and ended by --cancel.",
        )

    async def _carry_on(self, replay: Replay) -> dict[str, Any]:
        steps: dict[str, Callable[[Replay], Awaitable[None]]] = {
            "pausing": self._plan,
            "resetting": self._reset,
        }
        try:
            while step := steps.get(replay.state):
                await step(replay)
                replay = await self._open()
            return await self._watch(replay)
        except UnderWay as other:
            raise self._refused(str(other)) from other
        except asyncio.CancelledError:
            self._tell_how_to_go_on(replay)
            raise

    async def _plan(self, replay: Replay) -> None:
        await self._empty()
        scenario = Scenario.of_arguments(replay.arguments)
        try:
            # Anew: by now nobody moves what the scenario goes by.
            planned = await forecast(self.conn, self.group, self.read_model, scenario)
        except OperationRefused:
            await end_replay(self.conn, replay, "cancelled")
            raise
        await plan_resets(self.conn, replay, planned.plan)

    async def _reset(self, replay: Replay) -> None:
        await self._empty()
        await self.group.reset({planned.partition: planned.to for planned in replay.plan})
        await let_replay(self.conn, replay)

    async def _empty(self) -> None:
        if await wait_until_left(self.group.kafka, self.group.name):
            return
        raise OperationRefused(
            f"{self.read_model} is paused, but the group {self.group.name} still has members.",
            f"Stop whoever is in it (`till kafka consumer-groups --describe --members --group"
            f" {self.group.name}`), then `till replay {self.read_model} --continue`; --cancel ends it.",
        )

    async def _watch(self, replay: Replay) -> dict[str, Any]:
        details: dict[str, Any] = {"replay": replay.action_id}
        if causes := await pause_causes(self.conn, self.read_model):
            notices.print(
                f"The offsets are reset, but {self.read_model} is still paused by {', '.join(causes)}:"
                f" it replays after `till resume {self.read_model}`.",
                highlight=False,
            )
            return {**details, "finished": False, "still_paused_by": causes}
        watch = Watch(self.conn, self.group, replay)
        await watch.until_finished()
        measured = watch.measured(await watch.look())
        await end_replay(self.conn, replay, "done")
        superseded = {"superseded": True} if watch.superseded else {}
        return {**details, "finished": True, **measured, **superseded}

    def _tell_how_to_go_on(self, replay: Replay) -> None:
        name = self.read_model
        if replay.state == "replaying":
            told = (
                f"The projectors go on replaying {name}. Watch with `till replay {name} --continue`,"
                " or `till lag`."
            )
        else:
            told = (
                f"{name} stays paused ({replay.state}). Finish with `till replay {name} --continue`,"
                " end it with --cancel."
            )
        notices.print(told, highlight=False)
