"""Parked orders: those a read model can't apply an event of. They wait, with their later events, for a retry.

The model is the parking lot of EventStoreDB's subscriptions, by order instead of by event: a later event of
the same order can't be applied over the one before it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import asyncpg
import structlog
from prometheus_client import Gauge

from eventstore import EventStoreError
from messaging import Unrecoverable
from projector.event_records import EventRecord
from projector.faults import Failure, tell, write_apart
from projector.projection import Projection
from readmodels import UNKNOWN_OFFSET, OrderChange, OrderKey, Placed, ReadModel
from readmodels.parked import ParkedOrders

log = structlog.get_logger(__name__)

PARKED = Gauge(
    "tillstream_parked_orders",
    "Orders that a read model can't apply an event of, on the partitions held here.",
    ["read_model"],
)


class Parking(ParkedOrders):
    """The parked orders of one generation; those of the partitions held here are known by heart.

    What changes the table is done within the caller's transaction, and taken to heart after its commit
    (`know`, `release`).
    """

    def __init__(self, read_model: ReadModel, limit: int) -> None:
        super().__init__(read_model.name, read_model.generation)
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
        self._known = await self.on(conn, partitions)
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
        places: Mapping[OrderKey, Placed],
    ) -> None:
        """Park orders for what failed, each at its place.

        Raises Unrecoverable when more would then be parked than the limit allows: nothing of the caller's
        transaction is then kept, and a restart stops here again.
        """
        if not failures:
            return
        await self.add(
            conn, [(key, places[key], version, tell(error)) for key, (version, error) in failures.items()]
        )
        count = await self.count(conn)
        if count > self._limit:
            (tenant_id, order_id), failure = next(iter(failures.items()))
            raise Unrecoverable(
                f"{count} orders of {self._key[0]} would be parked, more than TILLSTREAM_PARKED_LIMIT "
                f"({self._limit}) allows; one is {order_id} of {tenant_id or 'no tenant'}, at version "
                f"{failure.version}: {tell(failure.error)}. Look at what was deployed last. Nothing of this "
                "batch is written, and a restart stops here again. `till parked list` shows what is parked, "
                "`till parked retry` folds it again after a repair"
            )


def place_of(came: Sequence[EventRecord]) -> Placed:
    """Return where an order's events that came leave it waiting."""
    newest = max(came, key=lambda arrival: (arrival.version, arrival.record.offset))
    last_offset = max(
        arrival.record.offset for arrival in came if arrival.record.partition == newest.record.partition
    )
    return Placed(newest.version, newest.record.partition, last_offset)


class Tried(NamedTuple):
    """What came of a retry: the orders that are parked no longer, and why the others still are."""

    unparked: frozenset[OrderKey]
    failures: Mapping[OrderKey, Failure]


class NotStored(EventStoreError):
    """The store ends before an event of the order that has come: it was restored, and lacks some."""


async def try_again(
    conn: asyncpg.Connection,
    read_model: ReadModel,
    projection: Projection,
    parking: Parking,
    waiting: Mapping[OrderKey, Placed],
) -> Tried:
    """Fold parked orders, write those that fold and unpark them; within the caller's transaction."""
    folded = await projection.fold_stored(conn, dict.fromkeys(waiting))
    failures: dict[OrderKey, Failure] = {}
    changes = []
    for key, place in waiting.items():
        order, events, failure = folded[key]
        if failure is not None:
            failures[key] = failure
        elif order.version < place.version:
            lacking = f"the event store has the order up to version {order.version} only"
            failures[key] = Failure(order.version + 1, NotStored(lacking))
        elif order.version:
            # Ahead of the topic, its newest event lies nobody knows where.
            known = order.version == place.version
            offset = place.last_offset if known else UNKNOWN_OFFSET
            recorded_at = events[-1].provenance.recorded_at
            changes.append(OrderChange(order, place.partition, offset, recorded_at, events))
        # Else the record named an order that there never was: nothing is left to apply.
    failures.update(await write_apart(conn, read_model.rewrite, changes))
    unparked = frozenset(waiting.keys() - failures.keys())
    await parking.unpark(conn, unparked)
    failed = [(key, version, tell(error)) for key, (version, error) in failures.items()]
    await parking.failed_again(conn, failed)
    return Tried(unparked, failures)
