"""Parked orders: those a read model can't apply an event of. They wait, with their later events, for a retry.

The model is the parking lot of EventStoreDB's subscriptions, by order instead of by event: a later event of
the same order can't be applied over the one before it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import asyncpg
import structlog
from prometheus_client import Gauge

from messaging import Unrecoverable
from projector.event_records import EventRecord
from projector.faults import Failure, tell
from readmodels import OrderKey, Placed, ReadModel
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
