"""What the database wants of a read model's projectors: a pause, a build, generations to drop."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import asyncpg

_WANTED = """
SELECT
    r.read_model,
    ARRAY(SELECT cause FROM operations.pauses WHERE read_model = r.read_model ORDER BY cause) AS pauses,
    live.generation AS live,
    live.version AS live_version,
    b.id, b.kind, b.version, b.state, b.cancel_requested, b.orders_done, b.orders_total, b.blocked_by,
    ARRAY(
        SELECT generation FROM projections.generations
        WHERE read_model = r.read_model AND drop_requested AND state <> 'live' ORDER BY generation
    ) AS to_drop,
    ARRAY(
        SELECT version FROM operations.builds WHERE read_model = r.read_model AND kind = 'upgrade'
    ) AS upgrades
FROM unnest($1::text[]) AS r (read_model)
LEFT JOIN projections.generations AS live ON live.read_model = r.read_model AND live.state = 'live'
LEFT JOIN operations.builds AS b
    ON b.read_model = r.read_model AND b.state NOT IN ('swapped', 'failed', 'cancelled')
"""

# Made once for each newer version: what an operator cancelled or took back does not come back by itself.
_UPGRADE = """
INSERT INTO operations.builds (read_model, kind, version)
SELECT read_model, 'upgrade', $2 FROM projections.generations
WHERE read_model = $1 AND state = 'live' AND version < $2 AND NOT EXISTS (
    SELECT FROM operations.builds WHERE read_model = $1 AND kind = 'upgrade' AND version = $2
) AND NOT EXISTS (
    SELECT FROM operations.replays WHERE read_model = $1 AND state NOT IN ('done', 'cancelled')
)
ON CONFLICT DO NOTHING
RETURNING id
"""


class DesiredBuild(NamedTuple):
    """A build under way, for the read model's `version`; `orders_total` is not known at first."""

    id: int
    kind: str
    version: int
    state: str
    cancel_requested: bool
    orders_done: int
    orders_total: int | None
    blocked_by: Sequence[str] = ()

    def __str__(self) -> str:
        told = f"{self.kind} of version {self.version}: {self.state.replace('_', ' ')}"
        if self.state == "scanning":
            told += f", {self.orders_done:,} of about {self.orders_total or 0:,} orders"
        if self.blocked_by:
            told += f", the swap waits for {'; '.join(self.blocked_by)}"
        return told


class DesiredState(NamedTuple):
    """Why the read model is paused (nothing: it is not), and its live generation, if there is one yet.

    Beside it the build that is under way, the generations to drop, and the versions that were upgraded to by
    themselves.
    """

    pauses: tuple[str, ...] = ()
    live: int | None = None
    live_version: int | None = None
    build: DesiredBuild | None = None
    to_drop: tuple[int, ...] = ()
    upgrades: tuple[int, ...] = ()


async def read_desired_states(
    conn: asyncpg.Connection, read_models: Collection[str]
) -> dict[str, DesiredState]:
    """Return read model → what is wanted of its projectors now."""
    return {row[0]: _desired(tuple(row)[1:]) for row in await conn.fetch(_WANTED, list(read_models))}


def _desired(row: tuple[Any, ...]) -> DesiredState:
    pauses, live, live_version, *build, to_drop, upgrades = row
    under_way = None if build[0] is None else DesiredBuild(*build)
    return DesiredState(tuple(pauses), live, live_version, under_way, tuple(to_drop), tuple(upgrades))


async def add_upgrade(conn: asyncpg.Connection, read_model: str, version: int) -> bool:
    """Make the build that a newer version needs; False where it was made before, or must wait."""
    return await conn.fetchval(_UPGRADE, read_model, version) is not None
