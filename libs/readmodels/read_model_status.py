"""How read models stand, as the database knows: paused, replaying, building, and with parked orders."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import asyncpg

from readmodels.assignment import Place

_PLACES = """
SELECT read_model, partition, next_offset, refolding, replay_until
FROM projections.checkpoints JOIN projections.generations USING (read_model, generation)
WHERE state = 'live' AND topic = $1
"""
_PAUSES = "SELECT read_model, cause FROM operations.pauses ORDER BY cause"
_PARKED = """
SELECT read_model, partition, count(*) AS orders
FROM projections.parked JOIN projections.generations USING (read_model, generation)
WHERE state = 'live' GROUP BY read_model, partition
"""
_BUILDS = """
SELECT DISTINCT ON (read_model) read_model, kind, state, orders_done, orders_total
FROM operations.builds WHERE state NOT IN ('swapped', 'failed', 'cancelled') ORDER BY read_model, id DESC
"""
_BLOCKED = "SELECT read_model, blocked_by FROM operations.builds WHERE blocked_by <> '{}'"


class BuildProgress(NamedTuple):
    """A new generation being made beside the live one; `orders_total` is None until it is known."""

    kind: str
    state: str
    orders_done: int
    orders_total: int | None


@dataclass(frozen=True)
class ReadModelStatus:
    """How one read model stands; `places` and `parked` (a count of orders) are by partition."""

    pauses: list[str] = field(default_factory=list)
    places: dict[int, Place] = field(default_factory=dict)
    parked: dict[int, int] = field(default_factory=dict)
    build: BuildProgress | None = None


def tell_replay(places: Iterable[Place]) -> str | None:
    """Say that a rewind is being made up for, and how much is left; None when none is."""
    replaying = [place for place in places if place.replaying]
    if not replaying:
        return None
    events = sum(place.to_replay for place in replaying)
    refolding = sum(place.refolding for place in replaying)
    orders = f", orders of {refolding} partitions to fold again" if refolding else ""
    return f"replaying, {events:,} events to go{orders}"


async def read_places(conn: asyncpg.Connection, topic: str) -> dict[str, dict[int, Place]]:
    """Return read model → partition → where its live generation is; without a checkpoint it is absent."""
    found: dict[str, dict[int, Place]] = {}
    for row in await conn.fetch(_PLACES, topic):
        found.setdefault(row["read_model"], {})[row["partition"]] = Place(*tuple(row)[2:])
    return found


async def read_statuses(
    conn: asyncpg.Connection, topic: str, read_models: Iterable[str]
) -> Mapping[str, ReadModelStatus]:
    """Return read model → how it stands. For the roles that may look: operator, projector, query."""
    places = await read_places(conn, topic)
    found = {name: ReadModelStatus(places=places.get(name, {})) for name in read_models}
    for row in await conn.fetch(_PAUSES):
        if status := found.get(row["read_model"]):
            status.pauses.append(row["cause"])
    for row in await conn.fetch(_PARKED):
        if status := found.get(row["read_model"]):
            status.parked[row["partition"]] = row["orders"]
    builds = {row["read_model"]: BuildProgress(*tuple(row)[1:]) for row in await conn.fetch(_BUILDS)}
    return {
        name: ReadModelStatus(each.pauses, each.places, each.parked, builds.get(name))
        for name, each in found.items()
    }


async def read_swap_blockers(conn: asyncpg.Connection) -> Mapping[str, Sequence[str]]:
    """Return read model → whose sessions keep a build from being swapped in; most have none.

    For the roles operator, projector and query: what tenants ask with must not see sessions.
    """
    return {row["read_model"]: row["blocked_by"] for row in await conn.fetch(_BLOCKED)}
