"""The checkpoints of one generation: moved with the rows they speak of, and fenced by an epoch."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import NamedTuple
from uuid import UUID

import asyncpg

from readmodels import OrderChange, OrderKey, ReadModel
from readmodels.assignment import Case, Checkpoint, Decision

_LIVE = """
SELECT g.generation AS live, c.*
FROM projections.generations AS g
LEFT JOIN projections.checkpoints AS c
    ON c.read_model = g.read_model AND c.generation = g.generation AND c.topic = $2
WHERE g.read_model = $1 AND g.state = 'live'
"""

# Rows are locked in partition order everywhere, so that two owners can't wait for each other.
_LOCK = """
SELECT * FROM projections.checkpoints
WHERE read_model = $1 AND generation = $2 AND topic = $3 AND partition = ANY (coalesce($4, ARRAY[partition]))
ORDER BY partition FOR UPDATE
"""
_READ = "SELECT * FROM projections.checkpoints WHERE read_model = $1 AND generation = $2 AND topic = $3"
_TO_CATCH_UP = """
SELECT coalesce(sum(greatest(0, live.next_offset - new.next_offset)), 0)::bigint
FROM projections.generations AS g
JOIN projections.checkpoints AS live USING (read_model, generation)
JOIN projections.checkpoints AS new
    ON new.read_model = live.read_model AND new.topic = live.topic AND new.topic_id = live.topic_id
    AND new.partition = live.partition AND new.generation = $2
WHERE g.read_model = $1 AND g.state = 'live'
"""

_FENCE = "UPDATE projections.checkpoints SET epoch = epoch + 1 WHERE read_model = $1 AND generation = $2"
# What Kafka is known to have committed for the read model's group goes on to be known.
_HAND_OVER = """
UPDATE projections.checkpoints AS new SET acknowledged_offset = old.acknowledged_offset
FROM projections.checkpoints AS old
WHERE new.read_model = $1 AND new.generation = $3 AND old.read_model = $1 AND old.generation = $2
    AND old.topic = new.topic AND old.partition = new.partition AND old.topic_id = new.topic_id
"""

_TAKE = """
INSERT INTO projections.checkpoints AS c
    (read_model, generation, topic, topic_id, epoch, partition, next_offset, refolding, refolded_tenant,
    refolded_order, replay_until)
SELECT $1, $2, $3, $4, 1, t.*
FROM unnest(
    $5::integer[], $6::bigint[], $7::boolean[], $8::text[], $9::uuid[], $10::bigint[]
) AS t (partition)
ORDER BY t.partition
ON CONFLICT (read_model, generation, topic, partition) DO UPDATE SET
    epoch = c.epoch + 1, next_offset = excluded.next_offset, refolding = excluded.refolding,
    refolded_tenant = excluded.refolded_tenant, refolded_order = excluded.refolded_order,
    replay_until = excluded.replay_until
RETURNING partition, epoch
"""

_REFOLDED_UP_TO = """
UPDATE projections.checkpoints SET refolded_tenant = $5, refolded_order = $6, advanced_at = now()
WHERE read_model = $1 AND generation = $2 AND topic = $3 AND partition = $4
"""

_REFOLDED = """
UPDATE projections.checkpoints
SET refolding = false, refolded_tenant = NULL, refolded_order = NULL, advanced_at = now()
WHERE read_model = $1 AND generation = $2 AND topic = $3 AND partition = $4
"""

# All of them or none: `moved` is empty unless each is where, and whose, it should be.
_MOVE = """
to_move AS (
    SELECT * FROM unnest(${4}::integer[], ${5}::bigint[], ${6}::bigint[], ${7}::bigint[], ${8}::bigint[])
        AS m (partition, epoch, old_offset, new_offset, acknowledged)
), movable AS MATERIALIZED (
    SELECT c.partition, m.new_offset, m.acknowledged
    FROM projections.checkpoints AS c JOIN to_move AS m USING (partition)
    WHERE c.read_model = ${1} AND c.generation = ${2} AND c.topic = ${3}
        AND c.next_offset = m.old_offset AND c.epoch = m.epoch
    ORDER BY c.partition FOR UPDATE OF c
), moved AS (
    UPDATE projections.checkpoints AS c
    SET next_offset = movable.new_offset, advanced_at = now(),
        acknowledged_offset = coalesce(movable.acknowledged, c.acknowledged_offset)
    FROM movable
    WHERE c.read_model = ${1} AND c.generation = ${2} AND c.topic = ${3} AND c.partition = movable.partition
        AND (SELECT count(*) FROM movable) = (SELECT count(*) FROM to_move)
    RETURNING c.partition
)
"""

_ACKNOWLEDGE = """
UPDATE projections.checkpoints AS c SET acknowledged_offset = m.acknowledged
FROM unnest($4::integer[], $5::bigint[], $6::bigint[]) AS m (partition, epoch, acknowledged)
WHERE c.read_model = $1 AND c.generation = $2 AND c.topic = $3
    AND c.partition = m.partition AND c.epoch = m.epoch
"""

_RECORD = """
INSERT INTO projections.assignments
    (read_model, generation, topic, partition, decision, committed_offset, checkpoint_offset, goes_on_from)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_LAST_DECISION = "SELECT coalesce(max(id), 0) FROM projections.assignments"
_DECIDED = """
SELECT partition, decision, committed_offset FROM projections.assignments
WHERE read_model = $1 AND topic = $2 AND id > $3 ORDER BY id
"""

_FORGET = (
    "DELETE FROM projections.checkpoints WHERE read_model = $1 AND generation = $2",
    "DELETE FROM projections.parked WHERE read_model = $1 AND generation = $2",
    "UPDATE projections.generations SET complete_until = NULL WHERE read_model = $1 AND generation = $2",
)


class Decided(NamedTuple):
    """What was decided at an assignment that found this offset committed, and was kept: no plain start is."""

    partition: int
    case: Case
    committed: int | None


class Move(NamedTuple):
    """One partition's step, made only by the holder of `epoch` and only from `old_offset`."""

    partition: int
    epoch: int
    old_offset: int
    new_offset: int
    acknowledged: int | None


async def live_checkpoints(
    conn: asyncpg.Connection, read_model: str, topic: str
) -> tuple[int | None, dict[int, Checkpoint]]:
    """Return the live generation (None before the first start) and its checkpoints by partition."""
    rows = await conn.fetch(_LIVE, read_model, topic)
    found = {row["partition"]: _checkpoint(row) for row in rows if row["partition"] is not None}
    return rows[0]["live"] if rows else None, found


async def last_decision(conn: asyncpg.Connection) -> int:
    """Return the number of the last decision that was kept, of any read model; 0 before the first."""
    return int(await conn.fetchval(_LAST_DECISION))


async def decided_since(conn: asyncpg.Connection, read_model: str, topic: str, number: int) -> list[Decided]:
    """Return what was decided for a read model after the decision of that number, oldest first."""
    rows = await conn.fetch(_DECIDED, read_model, topic, number)
    return [Decided(row["partition"], Case(row["decision"]), row["committed_offset"]) for row in rows]


async def events_to_catch_up(conn: asyncpg.Connection, read_model: str, generation: int) -> int:
    """Return how many records a generation is behind the live one."""
    return int(await conn.fetchval(_TO_CATCH_UP, read_model, generation))


async def hand_over(conn: asyncpg.Connection, read_model: str, old: int, new: int) -> None:
    """Fence whoever writes the old generation; the new one is of the same group from now on."""
    await conn.execute(_HAND_OVER, read_model, old, new)
    await conn.execute(_FENCE, read_model, old)


async def forget_all(conn: asyncpg.Connection, read_model: str, generation: int) -> None:
    """Delete what speaks of a generation's rows, when its tables had to be made: none of it is true of them.

    Whoever holds partitions is fenced; at the next assignment each counts as one whose checkpoint was lost.
    """
    for statement in _FORGET:
        await conn.execute(statement, read_model, generation)


@cache
def _moving(parameters: int, ctes: str) -> str:
    """Return the statement whose move takes its parameters after those of the further expressions."""
    numbers = range(parameters + 1, parameters + 9)
    return f"WITH {_MOVE.format(None, *numbers)} {ctes} SELECT count(*) FROM moved"  # noqa: S608 - numbers and texts of ours


def _checkpoint(row: asyncpg.Record) -> Checkpoint:
    cursor = (row["refolded_tenant"], row["refolded_order"])
    return Checkpoint(
        row["topic_id"],
        row["next_offset"],
        row["epoch"],
        row["acknowledged_offset"],
        row["refolding"],
        None if cursor[1] is None else cursor,
        row["replay_until"],
    )


class Checkpoints:
    """The checkpoint rows of one generation of a read model on one topic. Callers hold the transaction."""

    def __init__(self, read_model: str, generation: int, topic: str) -> None:
        self._key = (read_model, generation, topic)

    async def read(self, conn: asyncpg.Connection) -> dict[int, Checkpoint]:
        """Return partition → checkpoint; a missing one is absent."""
        return {row["partition"]: _checkpoint(row) for row in await conn.fetch(_READ, *self._key)}

    async def lock(
        self, conn: asyncpg.Connection, partitions: Collection[int] | None = None
    ) -> dict[int, Checkpoint]:
        """Return the same of these partitions (None: of all), locked until the transaction ends."""
        rows = await conn.fetch(_LOCK, *self._key, None if partitions is None else list(partitions))
        return {row["partition"]: _checkpoint(row) for row in rows}

    async def take(
        self, conn: asyncpg.Connection, topic_id: UUID, decisions: Mapping[int, Decision]
    ) -> dict[int, int]:
        """Set what was decided and return partition → new epoch: older holders are fenced."""
        columns = [
            (
                partition,
                decision.offset,
                decision.refolding,
                *(decision.refolded or (None, None)),
                decision.replay_until,
            )
            for partition, decision in decisions.items()
        ]
        rows = await conn.fetch(_TAKE, *self._key, topic_id, *zip(*columns, strict=True))
        return {row["partition"]: row["epoch"] for row in rows}

    async def hold(self, conn: asyncpg.Connection, epochs: Mapping[int, int]) -> bool:
        """Lock the checkpoints of partition → epoch; False when another has taken one of the partitions."""
        return {number: each.epoch for number, each in (await self.lock(conn, epochs)).items()} == epochs

    async def refolded_up_to(self, conn: asyncpg.Connection, partition: int, key: OrderKey) -> None:
        """Note the last order that was folded again: whoever takes over goes on after it."""
        await conn.execute(_REFOLDED_UP_TO, *self._key, partition, *key)

    async def refolded(self, conn: asyncpg.Connection, partition: int) -> None:
        """Note that all is folded again: the topic is read from the checkpoint."""
        await conn.execute(_REFOLDED, *self._key, partition)

    async def move(self, conn: asyncpg.Connection, moves: Sequence[Move]) -> bool:
        """Move all the checkpoints; none, and False, when one is not where, or not whose, it should be."""
        return await self._move(conn, moves, (), "")

    async def move_and_write(
        self,
        conn: asyncpg.Connection,
        moves: Sequence[Move],
        read_model: ReadModel,
        changes: Sequence[OrderChange],
    ) -> bool:
        """Do the same, and write the changed orders where they moved, in one statement and round trip."""
        if not changes:
            return await self.move(conn, moves)
        return await self._move(conn, moves, list(read_model.columns(changes)), f", {read_model.write_ctes}")

    async def _move(
        self, conn: asyncpg.Connection, moves: Sequence[Move], columns: Sequence[object], ctes: str
    ) -> bool:
        statement = _moving(len(columns), ctes)
        moved = await conn.fetchval(statement, *columns, *self._key, *zip(*moves, strict=True))
        return int(moved) == len(moves)

    async def moved_before(self, conn: asyncpg.Connection, moves: Sequence[Move]) -> bool:
        """Tell whether all these moves were already made by their own epochs."""
        found = {number: (each.epoch, each.next_offset) for number, each in (await self.read(conn)).items()}
        return all(found.get(move.partition) == (move.epoch, move.new_offset) for move in moves)

    async def acknowledge(self, conn: asyncpg.Connection, offsets: Sequence[tuple[int, int, int]]) -> None:
        """Keep the offsets Kafka has committed, as (partition, epoch, offset)."""
        await conn.execute(_ACKNOWLEDGE, *self._key, *zip(*offsets, strict=True))

    async def record(
        self,
        conn: asyncpg.Connection,
        partition: int,
        decision: Decision,
        committed: int | None,
        checkpoint: int | None,
    ) -> None:
        """Keep what was decided at an assignment, and from what."""
        await conn.execute(
            _RECORD, *self._key, partition, decision.case, committed, checkpoint, decision.offset
        )
