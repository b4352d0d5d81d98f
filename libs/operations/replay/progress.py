"""How far the projectors are with a replay, by their checkpoints, and when it is finished."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from operations.replay.forecast import EFFECTS
from operations.replay.offsets import Group
from operations.replay.record import Planned, Replay
from readmodels.assignment import Checkpoint
from readmodels.checkpoints import Decided, decided_since, live_checkpoints


@dataclass(frozen=True)
class ReplayProgress:
    """Where a replay is: partitions taken up, level again and still folding orders, and events read again."""

    partitions: int
    taken: int
    level: int
    refolding: int
    replayed: int
    events: int


def progress_of(plan: Sequence[Planned], checkpoints: Mapping[int, Checkpoint]) -> ReplayProgress:
    """Reckon how far a replay is."""
    taken = level = refolding = replayed = 0
    for planned in plan:
        found = checkpoints.get(planned.partition)
        # Until an assignment after the reset, a checkpoint says where it was, not where it is.
        if found is None or found.epoch <= (planned.epoch or 0):
            continue
        taken += 1
        refolding += found.refolding
        level += not found.refolding and found.next_offset >= (planned.end or 0)
        replayed += max(0, min(planned.events, found.next_offset - planned.to))
    events = sum(planned.events for planned in plan)
    return ReplayProgress(len(plan), taken, level, refolding, replayed, events)


def not_rewound(plan: Sequence[Planned], decided: Iterable[Decided]) -> dict[int, str]:
    """Return the partitions that were to rewind and did not, each with what its projector decided instead."""
    found = [*decided]
    followed = {
        (each.partition, each.committed)
        for each in found
        if (effect := EFFECTS.get(each.case)) is not None and effect.rewinds
    }
    instead = {each.partition: each.case.replace("_", " ") for each in found}
    return {
        planned.partition: instead.get(planned.partition, "went on")
        for planned in plan
        if planned.rewinds and (planned.partition, planned.to) not in followed
    }


class Watch:
    """Looks at a replay again and again; measures its rate from the first look on."""

    def __init__(self, conn: asyncpg.Connection, group: Group, replay: Replay) -> None:
        self._conn = conn
        self._group = group
        self._replay = replay
        self._began = time.monotonic()
        self._first: int | None = None
        self.superseded = False

    async def look(self) -> ReplayProgress:
        """Return where the replay is. Another generation than the planned one has nothing to make up for."""
        name, plan = self._replay.read_model, self._replay.plan
        generation, checkpoints = await live_checkpoints(self._conn, name, self._group.topic)
        self.superseded = any(each.generation not in {None, generation} for each in plan)
        now = progress_of(plan, checkpoints)
        if self._first is None:
            self._began, self._first = time.monotonic(), now.replayed
        return now

    async def finished(self, progress: ReplayProgress) -> bool:
        """Tell whether the projectors have followed every reset and are where they were before."""
        if self.superseded:
            return True
        if progress.level < progress.partitions:
            return False
        # An assignment that knew nothing of the reset leaves it progress at Kafka.
        committed = await self._group.committed([planned.partition for planned in self._replay.plan])
        return all(found.ours for found in committed.values())

    async def not_rewound(self) -> dict[int, str]:
        """Return where a finished replay did not happen, as `not_rewound` does.

        To be level again, with an offset of our own at Kafka, is no proof: so is who never saw the reset.
        """
        if self.superseded or not self._replay.plan:
            return {}
        since = min(each.last_decision for each in self._replay.plan)
        name, topic = self._replay.read_model, self._group.topic
        return not_rewound(self._replay.plan, await decided_since(self._conn, name, topic, since))

    def rate(self, progress: ReplayProgress) -> float | None:
        """Return the events a second since the first look; None before any."""
        moved, seconds = progress.replayed - (self._first or 0), time.monotonic() - self._began
        return moved / seconds if moved > 0 and seconds > 0 else None

    def measured(self, progress: ReplayProgress) -> dict[str, Any]:
        """Return what is kept in the record."""
        rate = self.rate(progress)
        measured = {} if rate is None else {"events_per_second": round(rate, 1)}
        seconds = round(time.monotonic() - self._began, 1)
        return {"events": progress.events, "watched_seconds": seconds, **measured}
