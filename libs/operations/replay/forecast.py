"""What a reset would do to a read model: told before anything is done, and planned with the same words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import asyncpg

from operations.replay.offsets import Group
from operations.replay.record import Planned, measured_rate
from operations.replay.scenarios import Offsets, Scenario, aims
from readmodels import READ_MODELS

_LIVE = "SELECT generation FROM projections.generations WHERE read_model = $1 AND state = 'live'"
_CHECKPOINTS = """
SELECT partition, next_offset, epoch, acknowledged_offset, refolding, replay_until
FROM projections.checkpoints WHERE read_model = $1 AND generation = $2 AND topic = $3
"""
_ORDERS = """
SELECT o.partition, count(*) AS orders
FROM {table} AS o JOIN unnest($1::integer[], $2::bigint[]) AS r (partition, first) USING (partition)
WHERE o.last_offset >= r.first GROUP BY o.partition
"""
# Below every last offset: a rewind to the start concerns all orders of the partition.
_ALL = -1


class Effect(StrEnum):
    """What the projector does with an offset that a tool has set; the words are for the operator."""

    TO_START = "rewinds to the start"
    PART_WAY = "rewinds part of the way"
    NO_MOVE = "none: it is there"
    REFUSED = "none: a move ahead is refused"
    RECORDS_LOST = "none: what the topic has lost comes from the store"
    FIRST_START = "none: it has not started yet"

    @property
    def rewinds(self) -> bool:
        """Whether the projector follows."""
        return self in {Effect.TO_START, Effect.PART_WAY}


class Checkpoint(NamedTuple):
    """How far a read model's tables are on one partition."""

    next_offset: int
    epoch: int
    acknowledged_offset: int | None
    refolding: bool
    replay_until: int | None


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


def foretell(to: int, known: Offsets, checkpoint: Checkpoint | None) -> Effect:
    """Say what a projector does that finds `to` committed by a tool: the assignment table of the README."""
    if checkpoint is None:
        return Effect.FIRST_START
    here = checkpoint.next_offset
    if to == known.beginning != here:
        return Effect.TO_START
    if here < known.beginning:
        return Effect.RECORDS_LOST
    if not known.beginning <= to <= known.end or to in {here, checkpoint.acknowledged_offset}:
        return Effect.NO_MOVE
    return Effect.REFUSED if to > here else Effect.PART_WAY


async def forecast(conn: asyncpg.Connection, group: Group, name: str, scenario: Scenario) -> Forecast:
    """Reckon what a scenario would do to the read model `name`, and change nothing.

    Raises what `Group.offsets` and `aims` do.
    """
    topic = await group.offsets(scenario.timestamp)
    targets = aims(scenario, topic)
    generation = await live_generation(conn, name)
    checkpoints = await read_checkpoints(conn, group.topic, name, generation)
    effects = {p: foretell(to, topic[p], checkpoints.get(p)) for p, to in targets.items()}
    orders = await _orders(conn, name, generation, targets, effects)
    rows, plan = [], []
    for partition, to in targets.items():
        found, effect = checkpoints.get(partition), effects[partition]
        committed = topic[partition].committed
        planned = Planned(
            partition,
            committed,
            to,
            # A rewind that is still being made up for is made up for by this one.
            None if found is None else max(found.next_offset, found.replay_until or 0),
            None if found is None else found.epoch,
            generation,
            effect.rewinds,
        )
        plan.append(planned)
        at = None if found is None else found.next_offset
        rows.append(Row(partition, committed, at, to, planned.events, orders.get(partition, 0), effect))
    return Forecast(rows, plan, await measured_rate(conn, name))


async def read_checkpoints(
    conn: asyncpg.Connection, topic: str, name: str, generation: int | None
) -> dict[int, Checkpoint]:
    """Return partition → checkpoint of a generation."""
    rows = await conn.fetch(_CHECKPOINTS, name, generation, topic)
    return {row["partition"]: Checkpoint(*tuple(row)[1:]) for row in rows}


async def live_generation(conn: asyncpg.Connection, name: str) -> int | None:
    """Return the number of the live generation; None before the first start."""
    generation: int | None = await conn.fetchval(_LIVE, name)
    return generation


async def _orders(
    conn: asyncpg.Connection,
    name: str,
    generation: int | None,
    targets: Mapping[int, int],
    effects: Mapping[int, Effect],
) -> dict[int, int]:
    rewound = {
        partition: _ALL if effects[partition] is Effect.TO_START else to
        for partition, to in targets.items()
        if effects[partition].rewinds
    }
    if not rewound:
        return {}
    table = READ_MODELS[name].orders_table.format(generation=generation)
    rows = await conn.fetch(_ORDERS.format(table=table), list(rewound), list(rewound.values()))
    return {row["partition"]: row["orders"] for row in rows}
