"""What a reset would do to a read model: told before anything is done, and planned with the same words."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

import asyncpg

from messaging import Assigned, Committed
from operations.errors import OperationRefused
from operations.replay.offsets import Group
from operations.replay.record import Planned, measured_rate
from operations.replay.scenarios import Offsets, Scenario, aims
from readmodels import READ_MODELS
from readmodels.assignment import Case, Checkpoint, Decision, RebuildNeeded, classify
from readmodels.checkpoints import last_decision, live_checkpoints


class Effect(StrEnum):
    """What the projector does with an offset that a tool has set; the words are for the operator."""

    TO_START = "rewinds to the start"
    PART_WAY = "rewinds part of the way"
    NO_MOVE = "none: it is there"
    REFUSED = "none: a move ahead is refused"
    RECORDS_LOST = "none: what the topic has lost comes from the store"
    CUT_SHORT = "reads all again: the topic ends before the checkpoint"
    OUT_OF_RANGE = "none: the topic has no such offset"
    FIRST_START = "none: it has not started yet"

    @property
    def rewinds(self) -> bool:
        """Whether the projector folds orders again and reads again what it has applied."""
        return self in {Effect.TO_START, Effect.PART_WAY, Effect.CUT_SHORT}


EFFECTS: Mapping[Case, Effect] = {
    Case.CHECKPOINT_LOST: Effect.FIRST_START,
    Case.NO_MOVE: Effect.NO_MOVE,
    Case.REWIND_TO_START: Effect.TO_START,
    Case.REWIND_PART_WAY: Effect.PART_WAY,
    Case.SKIP_REFUSED: Effect.REFUSED,
    Case.COMMIT_LOST: Effect.OUT_OF_RANGE,
    Case.RECORDS_LOST: Effect.RECORDS_LOST,
    Case.TOPIC_CUT_SHORT: Effect.CUT_SHORT,
}
"""What each case that a reset can lead to means for who asks for it."""


class Row(NamedTuple):
    """One partition of a forecast; `orders` are those that would be folded again."""

    partition: int
    committed: int | None
    checkpoint: int | None
    to: int
    events: int
    orders: int
    effect: Effect


@dataclass(frozen=True)
class Forecast:
    """What would happen, by partition; `rate` is of the last finished replay, in events a second."""

    rows: list[Row]
    plan: list[Planned]
    rate: float | None

    @property
    def events(self) -> int:
        """Events to be read again."""
        return sum(row.events for row in self.rows)

    @property
    def orders(self) -> int:
        """Orders to be folded again."""
        return sum(row.orders for row in self.rows)

    @property
    def rewinds(self) -> bool:
        """Whether the projectors would follow on any partition."""
        return any(row.effect.rewinds for row in self.rows)

    @property
    def refuses(self) -> bool:
        """Whether they would refuse a move ahead on any partition."""
        return any(row.effect is Effect.REFUSED for row in self.rows)

    @property
    def seconds(self) -> float | None:
        """How long it would take at the measured rate; None when none was measured."""
        return None if self.rate is None else self.events / self.rate


def foretell(to: int, known: Offsets, checkpoint: Checkpoint | None, topic_id: UUID) -> Decision:
    """Return what a projector decides that finds `to` committed by a tool. Raises RebuildNeeded."""
    kafka = Assigned(Committed(to, ours=False), known.beginning, known.end)
    return classify(kafka, checkpoint, topic_id)


async def forecast(conn: asyncpg.Connection, group: Group, name: str, scenario: Scenario) -> Forecast:
    """Reckon what a scenario would do to the read model `name`, and change nothing.

    Raises what `Group.offsets` and `aims` do, and OperationRefused for a topic that was made anew.
    """
    topic, topic_id = await group.offsets(scenario.timestamp), await group.topic_id()
    targets = aims(scenario, topic)
    generation, checkpoints = await live_checkpoints(conn, name, group.topic)
    try:
        decisions = {p: foretell(to, topic[p], checkpoints.get(p), topic_id) for p, to in targets.items()}
    except RebuildNeeded as reason:
        raise OperationRefused(
            "rebuild_needed", f"No reset of {name} has an effect: {reason}.", read_model=name
        ) from reason
    rewound = {p: each.refold_from or 0 for p, each in decisions.items() if EFFECTS[each.case].rewinds}
    orders = {}
    if rewound and generation is not None:
        orders = await READ_MODELS[name](generation).count_past(conn, rewound)
    rows, plan, before = [], [], await last_decision(conn)
    for partition, to in targets.items():
        found, decision = checkpoints.get(partition), decisions[partition]
        effect = EFFECTS[decision.case]
        committed = topic[partition].committed
        planned = Planned(
            partition,
            committed,
            to,
            # A rewind that is still being made up for is made up for by this one.
            None if found is None else max(decision.offset, decision.replay_until or 0),
            None if found is None else found.epoch,
            generation,
            effect.rewinds,
            before,
        )
        plan.append(planned)
        at = None if found is None else found.next_offset
        cut_short = decision.case is Case.TOPIC_CUT_SHORT
        events = topic[partition].end - decision.offset if cut_short else planned.events
        rows.append(Row(partition, committed, at, to, events, orders.get(partition, 0), effect))
    return Forecast(rows, plan, await measured_rate(conn, name))
