"""Parked orders: those a read model can't apply an event of. They wait, with their later events, for a retry.

The model is the parking lot of EventStoreDB's subscriptions, by order instead of by event: a later event of
the same order can't be applied over the one before it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import asyncpg
import structlog
from prometheus_client import Gauge

from messaging import Unrecoverable
from projector.event_records import Arrival
from projector.faults import Failure, tell
from readmodels import OrderKey, ReadModel

log = structlog.get_logger(__name__)

PARKED = Gauge(
    "tillstream_parked_orders",
    "Orders that a read model can't apply an event of, on the partitions held here.",
    ["read_model"],
)

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
FROM unnest($3::text[], $4::uuid[], $5::integer[], $6::bigint[], $7::bigint[])
    AS t (tenant_id, order_id, partition, newest_version, last_offset)
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
WHERE read_model = $1 AND generation = $2 AND partition = ANY ($3::integer[])
"""

_AMONG = """
SELECT tenant_id, order_id FROM projections.parked
JOIN unnest($3::text[], $4::uuid[]) AS k (tenant_id, order_id) USING (tenant_id, order_id)
WHERE read_model = $1 AND generation = $2
"""

_FIND = """
SELECT tenant_id, order_id, partition, newest_version, last_offset FROM projections.parked
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


class Waiting(NamedTuple):
    """Where a parked order's newest event lies; its version is 0 when none that came could be read."""

    partition: int
    newest_version: int
    last_offset: int


class Parking:
    """The parked orders of one generation; those of the partitions held here are known by heart.

    What changes the table is done within the caller's transaction, and taken to heart after its commit
    (`know`, `release`).
    """

    def __init__(self, read_model: ReadModel, limit: int) -> None:
        self._key = (read_model.name, read_model.generation)
        self._limit = limit
        self._known: set[OrderKey] = set()
        self._gauge = PARKED.labels(read_model.name)
        self._told = 0

    def __contains__(self, key: OrderKey) -> bool:
        return key in self._known

    def __len__(self) -> int:
        return len(self._known)

    async def learn(self, conn: asyncpg.Connection, partitions: Collection[int]) -> None:
        """Take to heart which orders of the partitions are parked, and no others."""
        rows = await conn.fetch(_ON, *self._key, list(partitions))
        self._known = {(row[0], row[1]) for row in rows}
        self._tell_count()

    def know(self, failures: Mapping[OrderKey, Failure]) -> None:
        """Take to heart what was parked, and tell of it."""
        for (tenant_id, order_id), failure in failures.items():
            log.error(
                "projector.order_parked",
                read_model=self._key[0],
                tenant=tenant_id,
                order=str(order_id),
                version=failure.version,
                error=tell(failure.error),
            )
        self._known.update(failures)
        self._tell_count()

    def release(self, keys: Iterable[OrderKey]) -> None:
        """Take to heart what is parked no longer."""
        for tenant_id, order_id in keys:
            log.info(
                "projector.order_unparked", read_model=self._key[0], tenant=tenant_id, order=str(order_id)
            )
            self._known.discard((tenant_id, order_id))
        self._tell_count()

    def forget(self) -> None:
        """Forget all: the partitions are another's."""
        self._known.clear()
        self._tell_count()

    def _tell_count(self) -> None:
        # In steps: a generation that is built beside the live one counts in the same process.
        self._gauge.inc(len(self._known) - self._told)
        self._told = len(self._known)

    async def park(
        self,
        conn: asyncpg.Connection,
        failures: Mapping[OrderKey, Failure],
        places: Mapping[OrderKey, Waiting],
    ) -> None:
        """Park orders for what failed, each at its place.

        Raises Unrecoverable when more would then be parked than the limit allows: nothing of the caller's
        transaction is then kept, and a restart stops here again.
        """
        if not failures:
            return
        rows = [
            (*key, place.partition, version, place.newest_version, place.last_offset, tell(error))
            for key, (version, error) in failures.items()
            for place in [places[key]]
        ]
        await conn.execute(_PARK, *self._key, *zip(*rows, strict=True))
        count = await conn.fetchval(_COUNT, *self._key)
        if count > self._limit:
            (tenant_id, order_id), failure = next(iter(failures.items()))
            raise Unrecoverable(
                f"{count} orders of {self._key[0]} would be parked, more than TILLSTREAM_PARKED_LIMIT "
                f"({self._limit}) allows; one is {order_id} of {tenant_id or 'no tenant'}, at version "
                f"{failure.version}: {tell(failure.error)}. Look at what was deployed last. Nothing of this "
                "batch is written, and a restart stops here again. `till parked list` shows what is parked, "
                "`till parked retry` folds it again after a repair"
            )

    async def wait(self, conn: asyncpg.Connection, arrivals: Mapping[OrderKey, Sequence[Arrival]]) -> None:
        """Note the newest of what came for parked orders."""
        rows = [(*key, *place_of(came)) for key, came in arrivals.items()]
        if rows:
            await conn.execute(_WAIT, *self._key, *zip(*sorted(rows), strict=True))

    async def among(self, conn: asyncpg.Connection, keys: Collection[OrderKey]) -> set[OrderKey]:
        """Return which of the orders are parked, on whatever partition."""
        rows = await conn.fetch(_AMONG, *self._key, *zip(*keys, strict=True))
        return {(row[0], row[1]) for row in rows}

    async def requested(self, conn: asyncpg.Connection, partitions: Collection[int]) -> bool:
        """Tell whether an operator wants an order of these partitions tried again."""
        found: bool = await conn.fetchval(_REQUESTED, *self._key, list(partitions))
        return found

    async def find(
        self,
        conn: asyncpg.Connection,
        partitions: Collection[int],
        *,
        after: OrderKey,
        limit: int,
        from_offset: int = 0,
        requested: bool = False,
    ) -> dict[OrderKey, Waiting]:
        """Return, and lock, the next parked orders after a key: those with an event at or past an offset.

        With `requested`, only those that an operator wants tried again.
        """
        rows = await conn.fetch(_FIND, *self._key, list(partitions), *after, from_offset, requested, limit)
        return {(row[0], row[1]): Waiting(*tuple(row)[2:]) for row in rows}

    async def unpark(self, conn: asyncpg.Connection, keys: Collection[OrderKey]) -> None:
        """Take orders from the table."""
        if keys:
            await conn.execute(_UNPARK, *self._key, *zip(*keys, strict=True))

    async def failed_again(self, conn: asyncpg.Connection, failures: Mapping[OrderKey, Failure]) -> None:
        """Note that a retry failed, and why."""
        rows = [(*key, failure.version, tell(failure.error)) for key, failure in failures.items()]
        if rows:
            await conn.execute(_FAILED_AGAIN, *self._key, *zip(*rows, strict=True))


def place_of(came: Sequence[Arrival]) -> Waiting:
    """Return where an order's events that came leave it waiting."""
    newest = max(came, key=lambda arrival: (arrival.version, arrival.record.offset))
    last_offset = max(
        arrival.record.offset for arrival in came if arrival.record.partition == newest.record.partition
    )
    return Waiting(newest.record.partition, newest.version, last_offset)
