"""Carries a replay out, from whichever state it is in, and ends it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from operations.errors import AlreadyUnderWay, NotFound, OperationRefused
from operations.groups import wait_until_left
from operations.pauses import pause_causes
from operations.replay.forecast import forecast
from operations.replay.offsets import Group
from operations.replay.progress import ReplayProgress, Watch
from operations.replay.record import (
    Replay,
    State,
    begin_replay,
    end_replay,
    hold_replays,
    let_replay,
    open_replay,
    plan_resets,
    tell_open,
)
from operations.replay.scenarios import Scenario

_LOOK_SECONDS = 0.5


class Reached(NamedTuple):
    """The replay is in a state, in which it stays when whoever carries it out goes away."""

    state: State


class Seen(NamedTuple):
    """A look at the projectors: events a second (None before any), and why none joins where it is paused."""

    progress: ReplayProgress
    rate: float | None
    paused_by: Sequence[str]


class Left(NamedTuple):
    """The end of carrying a replay out, as it is recorded: `finished`, or `still_paused_by` somebody."""

    details: Mapping[str, Any]


Step: TypeAlias = Reached | Seen | Left


@dataclass
class Execution:
    """One read model's replays, worked at over one connection of the operator's."""

    conn: asyncpg.Connection
    group: Group
    read_model: str

    async def begin(self, action_id: int) -> AsyncIterator[Step]:
        """Begin the replay that was recorded as this action and carry it out; the last step is Left.

        Raises AlreadyUnderWay when another replay or a build has not ended, and what `carry_on` does.
        """
        await self._hold()
        if (before := await open_replay(self.conn, self.read_model)) is not None:
            await self._tidy(before)
        await begin_replay(self.conn, self.read_model, action_id)
        async for step in self._carry_on():
            yield step

    async def carry_on(self) -> AsyncIterator[Step]:
        """Carry out what is left of the replay that has not ended; the last step is Left.

        Raises NotFound when there is none, AlreadyUnderWay while its group doesn't empty, and Unreachable
        when a server doesn't answer: then it can be carried on again. Raises OperationRefused, at its end,
        where the projectors did not rewind.
        """
        await self._hold()
        async for step in self._carry_on():
            yield step

    async def cancel(self) -> str:
        """End the replay that has not ended, and its pause, and return what that means.

        Raises NotFound, and AlreadyUnderWay while somebody is at it.
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
            there_is = "another `till replay`" if replay is None else tell_open(replay)
            raise AlreadyUnderWay(
                "replay_watched", f"{self.read_model} is not replayed: there is {there_is}."
            )

    async def _open(self) -> Replay:
        replay = await open_replay(self.conn, self.read_model)
        if replay is None:
            raise NotFound(
                "no_replay", f"No replay of {self.read_model} is under way.", read_model=self.read_model
            )
        return replay

    async def _tidy(self, replay: Replay) -> None:
        """End a replay that was left to the projectors and has been made up for since."""
        if replay.state == "replaying":
            watch = Watch(self.conn, self.group, replay)
            if await watch.finished(await watch.look()):
                await end_replay(self.conn, replay, "cancelled" if await watch.not_rewound() else "done")

    async def _carry_on(self) -> AsyncIterator[Step]:
        steps: dict[str, Callable[[Replay], Awaitable[None]]] = {
            "pausing": self._plan,
            "resetting": self._reset,
        }
        replay = await self._open()
        yield Reached(replay.state)
        while step := steps.get(replay.state):
            await step(replay)
            replay = await self._open()
            yield Reached(replay.state)
        async for seen in self._watch(replay):
            yield seen

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
        if not await wait_until_left(self.group.kafka, self.group.name):
            raise AlreadyUnderWay(
                "group_not_left",
                f"{self.read_model} is paused, but the group {self.group.name} still has members.",
                read_model=self.read_model,
                group=self.group.name,
            )

    async def _watch(self, replay: Replay) -> AsyncIterator[Step]:
        if causes := await pause_causes(self.conn, self.read_model):
            yield Left({"replay": replay.action_id, "finished": False, "still_paused_by": causes})
            return
        watch = Watch(self.conn, self.group, replay)
        while True:
            now = await watch.look()
            causes = [] if now.taken else await pause_causes(self.conn, self.read_model)
            yield Seen(now, watch.rate(now), causes)
            if await watch.finished(now):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        measured = watch.measured(await watch.look())
        if instead := await watch.not_rewound():
            await end_replay(self.conn, replay, "cancelled")
            told = ", ".join(f"{partition} ({decided})" for partition, decided in instead.items())
            raise OperationRefused(
                "not_rewound",
                f"{self.read_model} was not replayed on every partition: of those that were to rewind, these"
                f" did not: {told}.",
                read_model=self.read_model,
                partitions=",".join(map(str, instead)),
            )
        await end_replay(self.conn, replay, "done")
        superseded = {"superseded": True} if watch.superseded else {}
        yield Left({"replay": replay.action_id, "finished": True, **measured, **superseded})
