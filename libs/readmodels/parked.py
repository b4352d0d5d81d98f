"""Parked orders as the database keeps them: those a read model can't apply an event of, with what waits."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from readmodels import OrderKey, Placed

# Who finds an order parked already leaves its first error, and raises what waits behind it.
_PARK = """
INSERT INTO projections.parked AS p
    (read_model, generation, tenant_id, order_id, partition, version, newest_version, last_offset, error)
SELECT $1, $2, t.*
FROM unnest($3::text[], $4::uuid[], $5::integer[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[])
    AS t (tenant_id, order_id)
ORDER BY t.tenant_id, t.order_id
ON CONFLICT (read_model, generation, tenant_id, order_id) DO UPDATE SET
    newest_version = greatest(p.newest_version, excluded.newest_version),
    partition = excluded.partition,
    last_offset = CASE WHEN p.partition = excluded.partition
        THEN greatest(p.last_offset, excluded.last_offset) ELSE excluded.last_offset END
"""

_WAIT = """
UPDATE projections.parked AS p SET
    newest_version = greatest(p.newest_version, t.newest_version),
    partition = t.partition,
    last_offset = CASE WHEN p.partition = t.partition
        THEN greatest(p.last_offset, t.last_offset) ELSE t.last_offset END
FROM unnest($3::text[], $4::uuid[], $5::bigint[], $6::integer[], $7::bigint[])
    AS t (tenant_id, order_id, newest_version, partition, last_offset)
WHERE p.read_model = $1 AND p.generation = $2 AND p.tenant_id = t.tenant_id AND p.order_id = t.order_id
"""

_REQUESTED = """
SELECT EXISTS (
    SELECT FROM projections.parked
    WHERE read_model = $1 AND generation = $2 AND partition = ANY ($3::integer[]) AND retry_requested
)
"""

_COUNT = "SELECT count(*) FROM projections.parked WHERE read_model = $1 AND generation = $2"

_ON = """
SELECT tenant_id, order_id FROM projections.parked
WHERE read_model = $1 AND generation = $2 AND ($3::integer[] IS NULL OR partition = ANY ($3))
"""

_AMONG = """
SELECT tenant_id, order_id FROM projections.parked
JOIN unnest($3::text[], $4::uuid[]) AS k (tenant_id, order_id) USING (tenant_id, order_id)
WHERE read_model = $1 AND generation = $2
"""

_FIND = """
SELECT tenant_id, order_id, newest_version, partition, last_offset FROM projections.parked
WHERE read_model = $1 AND generation = $2 AND partition = ANY ($3::integer[])
    AND (tenant_id, order_id) > ($4, $5) AND last_offset >= $6 AND (retry_requested OR NOT $7::boolean)
ORDER BY tenant_id, order_id LIMIT $8
FOR UPDATE
"""

_UNPARK = """
DELETE FROM projections.parked AS p USING unnest($3::text[], $4::uuid[]) AS k (tenant_id, order_id)
WHERE p.read_model = $1 AND p.generation = $2 AND p.tenant_id = k.tenant_id AND p.order_id = k.order_id
"""

_FAILED_AGAIN = """
UPDATE projections.parked AS p
SET attempts = p.attempts + 1, tried_at = clock_timestamp(), retry_requested = false, version = t.version,
    error = t.error
FROM unnest($3::text[], $4::uuid[], $5::bigint[], $6::text[]) AS t (tenant_id, order_id, version, error)
WHERE p.read_model = $1 AND p.generation = $2 AND p.tenant_id = t.tenant_id AND p.order_id = t.order_id
"""

_IS_PARKED = """
SELECT EXISTS (
    SELECT FROM projections.parked JOIN projections.generations USING (read_model, generation)
    WHERE state = 'live' AND read_model = $1 AND tenant_id = $2 AND order_id = $3
)
"""

# A generation that is kept for a rollback is brought up to date, parked orders too, before it is used again.
_LIST = """
SELECT p.read_model, p.generation, g.state, p.tenant_id, p.order_id, p.partition, p.version,
    p.newest_version, p.error, p.parked_at, p.attempts, p.tried_at, p.retry_requested
FROM projections.parked AS p JOIN projections.generations AS g USING (read_model, generation)
WHERE g.state <> 'previous'
    AND ($1::text IS NULL OR p.read_model = $1) AND ($2::text IS NULL OR p.tenant_id = $2)
    AND ($3::uuid[] IS NULL OR p.order_id = ANY ($3))
ORDER BY p.parked_at DESC, p.read_model, p.generation, p.tenant_id, p.order_id
LIMIT $4
"""

_KEYS = """unnest($1::text[], $2::integer[], $3::text[], $4::uuid[])
    AS k (read_model, generation, tenant_id, order_id)"""

_WANT = f"""
UPDATE projections.parked AS p SET retry_requested = true FROM {_KEYS}
WHERE p.read_model = k.read_model AND p.generation = k.generation
    AND p.tenant_id = k.tenant_id AND p.order_id = k.order_id
"""  # noqa: S608 - constants of ours

_STILL = f"""
SELECT read_model, generation, tenant_id, order_id, p.retry_requested, p.error
FROM projections.parked AS p JOIN {_KEYS} USING (read_model, generation, tenant_id, order_id)
"""  # noqa: S608 - constants of ours


class ParkedOrders:
    """The parked orders of one generation of a read model, each placed where its newest event lies.

    That event's version is 0 when none that came could be read. Callers hold the transaction.
    """

    def __init__(self, read_model: str, generation: int) -> None:
        self._key = (read_model, generation)

    async def count(self, conn: asyncpg.Connection) -> int:
        """Return how many there are."""
        return int(await conn.fetchval(_COUNT, *self._key))

    async def on(self, conn: asyncpg.Connection, partitions: Collection[int] | None = None) -> set[OrderKey]:
        """Return those on some partitions (None: on any)."""
        rows = await conn.fetch(_ON, *self._key, None if partitions is None else list(partitions))
        return {(row[0], row[1]) for row in rows}

    async def among(self, conn: asyncpg.Connection, keys: Collection[OrderKey]) -> set[OrderKey]:
        """Return which of the orders are parked, on whatever partition."""
        rows = await conn.fetch(_AMONG, *self._key, *zip(*keys, strict=True))
        return {(row[0], row[1]) for row in rows}

    async def requested(self, conn: asyncpg.Connection, partitions: Collection[int]) -> bool:
        """Tell whether an operator wants an order of these partitions tried again."""
        return bool(await conn.fetchval(_REQUESTED, *self._key, list(partitions)))

    async def find(
        self,
        conn: asyncpg.Connection,
        partitions: Collection[int],
        *,
        after: OrderKey,
        limit: int,
        from_offset: int = 0,
        requested: bool = False,
    ) -> dict[OrderKey, Placed]:
        """Return, and lock, the next parked orders after a key: those with an event at or past an offset.

        With `requested`, only those that an operator wants tried again.
        """
        rows = await conn.fetch(_FIND, *self._key, list(partitions), *after, from_offset, requested, limit)
        return {(row[0], row[1]): Placed(*tuple(row)[2:]) for row in rows}

    async def add(
        self, conn: asyncpg.Connection, parked: Iterable[tuple[OrderKey, Placed, int, str]]
    ) -> None:
        """Park orders, each at its place, with the version that could not be applied, and why."""
        rows = [
            (*key, place.partition, version, place.version, place.last_offset, error)
            for key, place, version, error in parked
        ]
        await conn.execute(_PARK, *self._key, *zip(*rows, strict=True))

    async def wait(self, conn: asyncpg.Connection, places: Mapping[OrderKey, Placed]) -> None:
        """Note the newest of what came for parked orders."""
        rows = sorted((*key, *place) for key, place in places.items())
        await conn.execute(_WAIT, *self._key, *zip(*rows, strict=True))

    async def unpark(self, conn: asyncpg.Connection, keys: Collection[OrderKey]) -> None:
        """Take orders from the table."""
        if keys:
            await conn.execute(_UNPARK, *self._key, *zip(*keys, strict=True))

    async def failed_again(
        self, conn: asyncpg.Connection, failed: Collection[tuple[OrderKey, int, str]]
    ) -> None:
        """Note that a retry failed: at which version, and why."""
        if failed:
            rows = [(*key, version, error) for key, version, error in failed]
            await conn.execute(_FAILED_AGAIN, *self._key, *zip(*rows, strict=True))


class ParkedKey(NamedTuple):
    """One order, parked for one generation of a read model."""

    read_model: str
    generation: int
    tenant_id: str
    order_id: UUID


class ParkedOrder(NamedTuple):
    """What is known of a parked order; `state` is its generation's, version 0 an event that tells none."""

    read_model: str
    generation: int
    state: str
    tenant_id: str
    order_id: UUID
    partition: int
    version: int
    newest_version: int
    error: str
    parked_at: datetime
    attempts: int
    tried_at: datetime
    retry_requested: bool

    @property
    def key(self) -> ParkedKey:
        """What names it."""
        return ParkedKey(self.read_model, self.generation, self.tenant_id, self.order_id)


async def is_parked(conn: asyncpg.Connection, read_model: str, key: OrderKey) -> bool:
    """Tell whether the live generation of a read model has parked an order."""
    return bool(await conn.fetchval(_IS_PARKED, read_model, *key))


async def find_parked(
    conn: asyncpg.Connection,
    *,
    read_model: str | None = None,
    tenant: str | None = None,
    orders: Sequence[UUID] | None = None,
    limit: int | None = None,
) -> list[ParkedOrder]:
    """Return parked orders, the last parked first; None stands for any."""
    return [ParkedOrder(*row) for row in await conn.fetch(_LIST, read_model, tenant, orders, limit)]


async def want_retry(conn: asyncpg.Connection, keys: Collection[ParkedKey]) -> None:
    """Have the projectors that hold these orders' partitions try them again."""
    await conn.execute(_WANT, *zip(*keys, strict=True))


async def still_parked(
    conn: asyncpg.Connection, keys: Collection[ParkedKey]
) -> dict[ParkedKey, tuple[bool, str]]:
    """Return those that are parked still: whether the retry is yet to come, and the last error."""
    rows = await conn.fetch(_STILL, *zip(*keys, strict=True))
    return {ParkedKey(*tuple(row)[:4]): (row["retry_requested"], row["error"]) for row in rows}
