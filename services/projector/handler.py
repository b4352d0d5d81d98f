"""The projector: takes partitions up, applies batches, and gives partitions back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import structlog
from aiokafka import ConsumerRecord, TopicPartition

from messaging import Assigned, Fenced, TopicFacts
from projector.checkpoint_moves import Held, IsWithoutRecords, moves_over
from projector.event_records import EventRecord, Unreadable, read_arrivals
from projector.faults import Failure, is_orders_fault, tell
from projector.parking import Parking, place_of, try_again
from projector.projection import Applied, Projection
from projector.refolding import BEFORE_ALL, PATIENCE, Refolding, cut
from readmodels import OrderKey, Placed, ReadModel
from readmodels.assignment import PLAIN, Decision, classify
from readmodels.checkpoints import Checkpoints, Move
from runtime import Database, is_passing_fault

log = structlog.get_logger(__name__)

RETRY_INTERVAL = 0.5
RETRIED_AT_ONCE = 20
PARKED_LIMIT = 100


class Projector:
    """The handler of one read model's consumer group.

    Rows and checkpoints change in one transaction, and a checkpoint only moves from where this process left
    it, under the epoch of its own assignment: whoever was overtaken writes nothing. Kafka's offsets follow.
    """

    def __init__(
        self,
        database: Database,
        read_model: ReadModel,
        projection: Projection,
        checkpoints: Checkpoints,
        topic: Callable[[], Awaitable[TopicFacts]],
        *,
        is_without_records: IsWithoutRecords,
        parked_limit: int = PARKED_LIMIT,
    ) -> None:
        """Take the parts; more than `parked_limit` parked orders are refused.

        `topic` and `is_without_records` ask Kafka.
        """
        self._database = database
        self._read_model = read_model
        self._projection = projection
        self._checkpoints = checkpoints
        self._topic = topic
        self._is_without_records = is_without_records
        self._parking = Parking(read_model, parked_limit)
        self._refolding = Refolding(self._transaction, read_model, projection, checkpoints, self._parking)
        self._held: dict[TopicPartition, Held] = {}
        self._acknowledged: dict[TopicPartition, int] = {}
        self._one_at_a_time = asyncio.Lock()
        self._retrying: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        async with self._one_at_a_time:
            try:
                yield await self._database.connection()
            except BaseException:
                # Cancelled or failed in mid-statement, the connection may be anywhere.
                self._database.discard()
                raise

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[asyncpg.Connection]:
        async with self._connected() as conn, conn.transaction():
            yield conn

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        """Fence the previous owners, do what `classify` says, and return where each partition goes on.

        From now on these are all that is held: a `revoked` may have been left out, or cut off.
        """
        self._held = {}
        kafka = {topic_partition.partition: facts for topic_partition, facts in partitions.items()}
        topic = await self._topic()
        async with self._transaction() as conn:
            decisions = await self._decide(conn, kafka, topic.topic_id)
            epochs = await self._checkpoints.take(conn, topic.topic_id, decisions)
            # Only now: a batch that outlived its assignment may have kept orders up to here.
            self._projection.forget()
        await self._refolding.run(epochs, decisions, topic.partitions)
        held = {
            found: Held(epochs[found.partition], decisions[found.partition].offset) for found in partitions
        }
        async with self._transaction() as conn:
            await self._parking.learn(conn, [found.partition for found in held])
        self._held = held
        # One that `revoked` could not wait for has ended, or will.
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.create_task(self._keep_retrying())
        return {found: self._held[found].next_offset for found in partitions}

    async def _decide(
        self, conn: asyncpg.Connection, kafka: Mapping[int, Assigned], topic_id: UUID
    ) -> dict[int, Decision]:
        found = await self._checkpoints.lock(conn, kafka)
        decisions: dict[int, Decision] = {}
        for partition, facts in sorted(kafka.items()):
            checkpoint = found.get(partition)
            decision = decisions[partition] = classify(facts, checkpoint, topic_id)
            if decision.case in PLAIN:
                continue
            committed = None if facts.committed is None else facts.committed.offset
            before = None if checkpoint is None else checkpoint.next_offset
            await self._checkpoints.record(conn, partition, decision, committed, before)
            log.warning(
                "projector.assignment_decided",
                partition=partition,
                decision=decision.case,
                committed=committed,
                checkpoint=before,
                goes_on_from=decision.offset,
            )
        return decisions

    async def handle(self, batch: Mapping[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]]) -> None:
        """Apply the records in one transaction that moves the checkpoints too, or does nothing.

        An order that can't be applied is parked in it, and its neighbours go on. Raises Fenced when a
        partition was taken by another process, or a batch doesn't begin where its checkpoint stands;
        Unrecoverable when too many orders would be parked.
        """
        # Outside the transaction: no lock is held while this computes.
        moves = await moves_over(batch, {**self._held}, self._acknowledged, self._is_without_records)
        arrivals, unreadable = read_arrivals(batch)
        try:
            applied = await self._apply_at_once(moves, arrivals, unreadable)
            if applied is None:
                applied = await self._apply(moves, arrivals, unreadable, apart=False)
        except Exception as error:
            if not is_orders_fault(error):
                raise
            log.warning("projector.batch_taken_apart", error=tell(error))
            applied = await self._apply(moves, arrivals, unreadable, apart=True)
        self._projection.keep(applied.orders)
        if applied.failures:
            self._projection.forget(applied.failures)
            self._parking.know(applied.failures)
        epochs = {move.partition: move.epoch for move in moves}
        for topic_partition, records in batch.items():
            held = self._held.get(topic_partition)
            # Else the batch outlived its assignment, and the next one has looked for itself.
            if held is not None and held.epoch == epochs[topic_partition.partition]:
                self._held[topic_partition] = held._replace(next_offset=records[-1].offset + 1)

    async def _apply_at_once(
        self,
        moves: Sequence[Move],
        arrivals: Mapping[OrderKey, Sequence[EventRecord]],
        unreadable: Mapping[OrderKey, Unreadable],
    ) -> Applied | None:
        """Apply what arrived in one statement, which is a transaction by itself and moves the checkpoints.

        Returns None, with nothing done, where there is more to do: orders to park, or another owner. What is
        read before is still so: who else wrote these partitions would have taken the checkpoints.
        """
        if unreadable or any(key in self._parking for key in arrivals):
            return None
        async with self._connected() as conn:
            batch = await self._projection.fold(conn, arrivals)
            if batch.failures or not await self._checkpoints.move_and_write(
                conn, moves, self._read_model, batch.changes
            ):
                return None
            return self._projection.applied(arrivals, batch)

    async def _apply(
        self,
        moves: Sequence[Move],
        arrivals: Mapping[OrderKey, Sequence[EventRecord]],
        unreadable: Mapping[OrderKey, Unreadable],
        *,
        apart: bool,
    ) -> Applied:
        """Apply what arrived for orders that aren't parked, and park those that fail, in one transaction."""
        async with self._transaction() as conn:
            if await self._checkpoints.move(conn, moves):
                waiting = {key: place_of(came) for key, came in arrivals.items() if key in self._parking}
                if waiting:
                    await self._parking.wait(conn, waiting)
                    arrivals = {key: came for key, came in arrivals.items() if key not in waiting}
                applied = await self._projection.apply(conn, arrivals, apart=apart)
                if not (applied.failures or unreadable):
                    return applied
                failures = {**applied.failures}
                places = {key: place_of(arrivals[key]) for key in failures}
                for key, found in unreadable.items():
                    failures[key] = Failure(found.version, found.error)
                    places[key] = Placed(found.newest_version, found.partition, found.last_offset)
                await self._parking.park(conn, failures, places)
                return Applied(applied.orders, failures)
            if not await self._checkpoints.moved_before(conn, moves):
                raise Fenced
            # The commit came through before, only its answer was lost.
            self._projection.forget()
            await self._parking.learn(conn, [found.partition for found in self._held])
        return Applied((), {})

    def acknowledged(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Remember what Kafka has committed: the next batch's transaction writes it down."""
        self._acknowledged.update(offsets)

    async def revoked(self) -> None:
        """Write down what Kafka has committed, and forget what was only true for the owner."""
        offsets = [
            (partition.partition, held.epoch, self._acknowledged[partition])
            for partition, held in self._held.items()
            if partition in self._acknowledged
        ]
        self._held.clear()
        self._acknowledged.clear()
        self._projection.forget()
        self._parking.forget()
        retrying, self._retrying = self._retrying, None
        # From here on we may be cut off: nothing is held any more.
        if retrying is not None:
            retrying.cancel()
            await asyncio.wait({retrying})
        if not offsets:
            return
        try:
            async with self._transaction() as conn:
                await self._checkpoints.acknowledge(conn, offsets)
        except Exception as error:
            if not is_passing_fault(error):
                raise
            # Without the note a reset to the current offset may later fold some orders again for nothing.
            log.warning("projector.acknowledgement_not_kept", error=repr(error))

    async def _keep_retrying(self) -> None:
        """Look for parked orders that an operator wants tried again, while partitions are held."""
        while True:
            await asyncio.sleep(RETRY_INTERVAL)
            try:
                await self.retry_parked()
            except Exception as error:  # noqa: BLE001 - the batches go on, and tell what is wrong in general
                log.warning("projector.retry_failed", error=repr(error))

    async def retry_parked(self) -> None:
        """Try again the parked orders of the held partitions for which an operator wants that.

        Raises Fenced when a partition was taken by another process, and what the database raises.
        """
        if not self._parking:
            return
        epochs = {found.partition: held.epoch for found, held in self._held.items()}
        async with self._transaction() as conn:
            if not await self._parking.requested(conn, epochs):
                return
            await conn.execute(PATIENCE)
            if not await self._checkpoints.hold(conn, epochs):
                raise Fenced
            waiting = await self._parking.find(
                conn, epochs, after=BEFORE_ALL, limit=RETRIED_AT_ONCE, requested=True
            )
            # What is beyond keeps its wish, and is next.
            waiting = cut(waiting, [place.version for place in waiting.values()])
            tried = await try_again(conn, self._read_model, self._projection, self._parking, waiting)
        self._projection.forget(tried.unparked)
        self._parking.release(tried.unparked)
        for (tenant_id, order_id), failure in tried.failures.items():
            log.warning(
                "projector.order_still_parked",
                tenant=tenant_id,
                order=str(order_id),
                version=failure.version,
                error=tell(failure.error),
            )
