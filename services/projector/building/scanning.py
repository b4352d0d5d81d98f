"""The beginning of a build, and its scan of the event store by order."""

import asyncio
import time
from collections.abc import Iterator, Sequence

import asyncpg

from eventstore import EventStore, StreamKey
from messaging import KafkaConnection, TopicReader, fetch_topic, partition_of
from orders import ORDER
from projector.building.build_lease import BuildLease
from projector.building.record import BuildJob, Step, begin_scan, move_cursor
from projector.faults import write_apart
from projector.folding import sort_out
from projector.parking import Parking
from projector.projection import Projection
from projector.refolding import PATIENCE, cut
from readmodels import UNKNOWN_OFFSET, OrderChange, OrderKey, Placed, ReadModel
from readmodels.assignment import Case, Decision
from readmodels.checkpoints import Checkpoints
from readmodels.generations import LOCK_GENERATIONS, begin_next, live_tables

# Small, so that the live consumer of the same process is not kept waiting.
ORDERS_AT_ONCE = 100
# What is written of events is computed between awaits, and takes longer the more lines the orders have.
EVENTS_WRITTEN_AT_ONCE = 100


async def begin(
    conn: asyncpg.Connection, build: BuildJob, read_model: type[ReadModel], kafka: KafkaConnection, topic: str
) -> None:
    """Make the new generation: empty tables, and checkpoints at the topic's ends.

    What lies before an end was in the store before, so the scan that follows finds it there. Raises
    KafkaError.
    """
    topic_id = (await fetch_topic(kafka, topic)).topic_id
    async with TopicReader.open(kafka, topic) as reader:
        ends = reader.ends
    live = await live_tables(conn, read_model)
    # Not under the lock: of many orders it takes a while, and about right is enough.
    orders = None if live is None else await live.count_orders(conn)
    async with conn.transaction():
        await conn.execute(LOCK_GENERATIONS)
        generation = await begin_next(conn, read_model)
        starts = {number: Decision(Case.FIRST_START, end) for number, end in ends.items()}
        await Checkpoints(generation.name, generation.generation, topic).take(conn, topic_id, starts)
        await begin_scan(conn, build, generation.generation, orders)


class Scan:
    """Folds all orders of the store into a new generation, in key order, from the build's cursor on."""

    def __init__(
        self, lease: BuildLease, build: BuildJob, generation: ReadModel, topic: str, parked_limit: int
    ) -> None:
        self._lease = lease
        self._build = build
        self._generation = generation
        self._topic = topic
        self._projection = Projection(generation, EventStore(ORDER))
        self._parking = Parking(generation, parked_limit)
        self._live: ReadModel | None = None
        self._partitions = 0

    async def run(self, step: Step) -> None:
        """Scan to the end; `step` is awaited after each page, and ends the scan by raising.

        An order that fails to fold is parked in the new generation. Raises Unrecoverable when too many are.
        """
        try:
            await self._scan(step)
        finally:
            # They are counted by whoever holds their partitions.
            self._parking.forget()

    async def _scan(self, step: Step) -> None:
        await self._look_around(await self._lease.connection())
        after, throttle = self._build.after, self._build.throttle
        limit = min(ORDERS_AT_ONCE, throttle or ORDERS_AT_ONCE)
        started, done = time.monotonic(), 0
        while True:
            keys = await self._page(await self._lease.connection(), after, limit)
            if not keys:
                return
            after = next(reversed(keys))
            done += len(keys)
            await step()
            due = 0.0 if throttle is None else started + done / throttle - time.monotonic()
            # At least once around the loop: the live consumer's turn.
            await asyncio.sleep(max(0.0, due))

    async def _look_around(self, conn: asyncpg.Connection) -> None:
        """Learn how many partitions there are, and whether the live rows tell where orders lie on them."""
        generation, live = self._generation, await live_tables(conn, type(self._generation))
        own = await Checkpoints(generation.name, generation.generation, self._topic).read(conn)
        self._partitions = len(own)
        if live is not None:
            theirs = await Checkpoints(live.name, live.generation, self._topic).read(conn)
            ids = [{each.topic_id for each in found.values()} for found in (own, theirs)]
            self._live = live if ids[0] == ids[1] else None

    async def _page(
        self, conn: asyncpg.Connection, after: OrderKey | None, limit: int
    ) -> dict[OrderKey, int]:
        """Fold and write the next orders after a key, in one transaction with the cursor; return them."""
        before = None if after is None else StreamKey(*after)
        found = await self._projection.store.streams(conn, before, limit)
        if not found:
            return {}
        keys: dict[OrderKey, int] = cut(
            {(key.tenant_id, key.aggregate_id): version for key, version in found},
            [version for _, version in found],
        )
        # Outside the transaction: what a stream holds up to a version never changes.
        folded = await self._projection.fold_stored(conn, {**keys})
        placed = await self._live.placed(conn, keys) if self._live else {}
        places = {key: self._place(key, version, placed.get(key)) for key, version in keys.items()}
        changes, failures = sort_out(folded, places)
        async with conn.transaction():
            await conn.execute(PATIENCE)
            await move_cursor(conn, self._build, after, next(reversed(keys)), len(keys))
            for some in _pieces(changes) if self._generation.needs_events else [changes]:
                failures.update(await write_apart(conn, self._generation.write, some))
            await self._parking.park(conn, failures, places)
        self._parking.know(failures)
        return keys

    def _place(self, key: OrderKey, version: int, live: Placed | None) -> Placed:
        """Return where the order's event of that version lies; only the live generation may know."""
        partition = partition_of(str(key[1]).encode(), self._partitions)
        known = live is not None and live.version == version and live.partition == partition
        return Placed(version, partition, live.last_offset if known and live else UNKNOWN_OFFSET)


def _pieces(changes: Sequence[OrderChange]) -> Iterator[Sequence[OrderChange]]:
    """Part a page's orders where enough events have come together; a single order is never parted."""
    first = events = 0
    for place, change in enumerate(changes, 1):
        events += len(change.events)
        if events >= EVENTS_WRITTEN_AT_ONCE:
            yield changes[first:place]
            first, events = place, 0
    if first < len(changes):
        yield changes[first:]
