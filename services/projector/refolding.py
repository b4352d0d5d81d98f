"""Puts a partition's rows right from the event store, before the topic is read again.

A rewind could as well delete rows and wait for the topic to bring them back; but then readers would miss
orders for as long as that takes, and orders whose events the topic no longer has would not come back at all.
Rows are rewritten in place, page by page in short transactions, each of them fenced by the partition's epoch.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import accumulate, islice, takewhile
from typing import TypeAlias, TypeVar
from uuid import UUID

import asyncpg

from eventstore import StreamKey
from messaging import Fenced, partition_of
from projector.faults import Failure, write_apart
from projector.folding import sort_out
from projector.parking import Parking, try_again
from projector.projection import Projection
from readmodels import UNKNOWN_OFFSET, OrderKey, Placed, ReadModel
from readmodels.assignment import Decision
from readmodels.checkpoints import Checkpoints

REFOLDED_AT_ONCE = 200
LOOKED_AT_AT_ONCE = 500
# Of a page's orders together. What an order takes is told by its events, and locks are held meanwhile.
EVENTS_AT_ONCE = 1_000
# While a page is folded in Python the database waits: longer than a batch takes.
PATIENCE = "SET LOCAL idle_in_transaction_session_timeout = '30s'"
BEFORE_ALL: OrderKey = ("", UUID(int=0))

T = TypeVar("T")
Transaction: TypeAlias = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]


@dataclass(frozen=True)
class Refolding:
    """Carries out, for the holder of `epochs` (partition → epoch), what assignments decided.

    Raises Fenced as soon as another has taken one of the partitions.
    """

    transaction: Transaction
    read_model: ReadModel
    projection: Projection
    checkpoints: Checkpoints
    parking: Parking

    async def run(
        self, epochs: Mapping[int, int], decisions: Mapping[int, Decision], partitions: int
    ) -> None:
        """Do all that the decisions ask for, on a topic with so many partitions."""
        due = {number: each for number, each in sorted(decisions.items()) if each.refolding}
        for number, decision in due.items():
            if decision.refold_from is not None:
                after = decision.refolded or BEFORE_ALL
                await self._refold({number: epochs[number]}, decision.refold_from, after)
        filling = {number: epochs[number] for number, decision in due.items() if decision.fill}
        if filling:
            await self._fill(filling, partitions)
        for number, decision in due.items():
            await self._finish({number: epochs[number]}, decision.refold_from or 0)

    async def _hold(self, conn: asyncpg.Connection, epochs: Mapping[int, int]) -> None:
        await conn.execute(PATIENCE)
        if not await self.checkpoints.hold(conn, epochs):
            raise Fenced

    async def _refold(self, epochs: Mapping[int, int], from_offset: int, after: OrderKey) -> None:
        """Fold the partition's orders with an event at or past an offset again, each up to its version."""
        (partition,) = epochs
        while True:
            async with self.transaction() as conn:
                await self._hold(conn, epochs)
                page = await self.read_model.page(
                    conn, partition, from_offset, after=after, limit=REFOLDED_AT_ONCE
                )
                if not page:
                    return
                page = cut(page, [row.version for row in page.values()])
                failures = await self._rewrite(conn, page)
                after = next(reversed(page))
                await self.checkpoints.refolded_up_to(conn, partition, after)
            self.parking.know(failures)

    async def _rewrite(
        self, conn: asyncpg.Connection, page: Mapping[OrderKey, Placed]
    ) -> dict[OrderKey, Failure]:
        """Write orders anew, delete those that the store doesn't know, and park those that fail."""
        # A row never goes back: what it has not seen yet the topic brings.
        folded = await self.projection.fold_stored(conn, {key: row.version for key, row in page.items()})
        changes, failures = sort_out(folded, page)
        unknown = [key for key, now in folded.items() if not (now.order.version or now.failure)]
        if unknown:
            await self.read_model.delete(conn, unknown)
        failures.update(await write_apart(conn, self.read_model.rewrite, changes))
        await self.parking.park(conn, failures, page)
        return failures

    async def _fill(self, epochs: Mapping[int, int], partitions: int) -> None:
        """Bring orders up to the store that the topic can't: of these partitions, and those without a row.

        Where partitions were added, an order's old events lie on another partition than its key names now.
        """
        after: StreamKey | None = None
        while True:
            async with self.transaction() as conn:
                await self._hold(conn, epochs)
                page = dict(await self.projection.store.streams(conn, after, LOOKED_AT_AT_ONCE))
                if not page:
                    return
                placed = await self.read_model.placed(conn, page)
                lagging: dict[OrderKey, Placed] = {}
                events = 0
                for key, version in page.items():
                    after = key
                    row = placed.get(key)
                    partition = partition_of(str(key.aggregate_id).encode(), partitions)
                    if row is None:
                        lagging[key] = Placed(version, partition, UNKNOWN_OFFSET)
                    elif row.version < version and not epochs.keys().isdisjoint((row.partition, partition)):
                        lagging[key] = Placed(version, row.partition, UNKNOWN_OFFSET)
                    events += version if key in lagging else 0
                    if events >= EVENTS_AT_ONCE:
                        break
                failures = await self._write_lagging(conn, lagging)
            self.parking.know(failures)

    async def _write_lagging(
        self, conn: asyncpg.Connection, lagging: Mapping[OrderKey, Placed]
    ) -> dict[OrderKey, Failure]:
        """Write orders as the store has them, unless they are parked, and park those that fail."""
        if not lagging:
            return {}
        parked = await self.parking.among(conn, lagging)
        up_to = {key: place.version for key, place in lagging.items() if key not in parked}
        folded = await self.projection.fold_stored(conn, up_to)
        changes, failures = sort_out(folded, lagging)
        # Another partition's owner may have written the order since it was looked at: what is newer stays.
        failures.update(await write_apart(conn, self.read_model.write, changes))
        await self.parking.park(conn, failures, lagging)
        return failures

    async def _finish(self, epochs: Mapping[int, int], from_offset: int) -> None:
        """Unpark what folds now, and make the partition's sums agree with its orders."""
        (partition,) = epochs
        after = BEFORE_ALL
        while True:
            async with self.transaction() as conn:
                await self._hold(conn, epochs)
                waiting = await self.parking.find(
                    conn, epochs, after=after, limit=REFOLDED_AT_ONCE, from_offset=from_offset
                )
                if not waiting:
                    await self.read_model.settle(conn, partition)
                    await self.checkpoints.refolded(conn, partition)
                    return
                waiting = cut(waiting, [place.version for place in waiting.values()])
                tried = await try_again(conn, self.read_model, self.projection, self.parking, waiting)
            self.parking.release(tried.unparked)
            after = next(reversed(waiting))


def cut(page: Mapping[OrderKey, T], events: Sequence[int]) -> dict[OrderKey, T]:
    """Return a page's first orders: one, and as many more as have so few events that they fit in."""
    sums = accumulate(events)
    fitting = sum(1 for _ in takewhile(lambda count: count <= EVENTS_AT_ONCE, sums))
    return dict(islice(page.items(), max(1, fitting)))
