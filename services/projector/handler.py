"""The projector: takes partitions up, applies batches, and gives partitions back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID

import asyncpg
import structlog
from aiokafka import ConsumerRecord, TopicPartition

from messaging import Assigned, Fenced
from projector.arrivals import read_arrivals
from projector.assignment import PLAIN, Decision, classify
from projector.checkpoints import Checkpoints, Move
from projector.projection import Projection
from readmodels import OrderKey, ReadModel
from runtime import Database, is_passing_fault

log = structlog.get_logger(__name__)

DROPPED_AT_ONCE = 2_000
_BEFORE_ALL: OrderKey = ("", UUID(int=0))


class _Held(NamedTuple):
    epoch: int
    next_offset: int


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
        topic_id: Callable[[], Awaitable[UUID]],
    ) -> None:
        self._database = database
        self._read_model = read_model
        self._projection = projection
        self._checkpoints = checkpoints
        self._topic_id = topic_id
        self._held: dict[TopicPartition, _Held] = {}
        self._acknowledged: dict[TopicPartition, int] = {}
        self._one_at_a_time = asyncio.Lock()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[asyncpg.Connection]:
        async with self._one_at_a_time:
            try:
                conn = await self._database.connection()
                async with conn.transaction():
                    yield conn
            except BaseException:
                # Cancelled or failed in mid-statement, the connection may be anywhere.
                self._database.discard()
                raise

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        """Fence the previous owners, do what `classify` says, and return where each partition goes on."""
        kafka = {topic_partition.partition: facts for topic_partition, facts in partitions.items()}
        topic_id = await self._topic_id()
        async with self._transaction() as conn:
            decisions = await self._decide(conn, kafka, topic_id)
            epochs = await self._checkpoints.take(conn, topic_id, decisions)
            # Only now: a batch that outlived its assignment may have kept orders up to here.
            self._projection.forget()
        for partition, decision in decisions.items():
            if decision.drop:
                await self._drop(partition, epochs[partition], decision.offset)
        for topic_partition in partitions:
            partition = topic_partition.partition
            self._held[topic_partition] = _Held(epochs[partition], decisions[partition].offset)
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

    async def _drop(self, partition: int, epoch: int, from_offset: int) -> None:
        """Drop the partition's orders with events at or past an offset, in short transactions."""
        after: OrderKey | None = _BEFORE_ALL
        while after is not None:
            async with self._transaction() as conn:
                if not await self._checkpoints.hold(conn, partition, epoch):
                    raise Fenced
                after = await self._read_model.drop_orders(
                    conn, partition, from_offset, after=after, limit=DROPPED_AT_ONCE
                )
                if after is None:
                    await self._read_model.settle(conn, partition)
                    await self._checkpoints.dropped(conn, partition)

    async def handle(self, batch: Mapping[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]]) -> None:
        """Apply the records in one transaction that first moves the checkpoints.

        Raises Fenced when a partition was taken by another process.
        """
        # Outside the transaction: no lock is held while this computes.
        arrivals = read_arrivals(batch)
        moves = self._moves(batch)
        async with self._transaction() as conn:
            if await self._checkpoints.move(conn, moves):
                orders = await self._projection.apply(conn, arrivals)
            elif await self._checkpoints.moved_before(conn, moves):
                # The commit came through before, only its answer was lost.
                self._projection.forget()
                orders = []
            else:
                raise Fenced
        self._projection.keep(orders)
        for topic_partition, records in batch.items():
            held = self._held[topic_partition]
            self._held[topic_partition] = held._replace(next_offset=records[-1].offset + 1)

    def _moves(self, batch: Mapping[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]]) -> list[Move]:
        moves = []
        for topic_partition, records in batch.items():
            held = self._held.get(topic_partition)
            if held is None:
                raise Fenced
            moves.append(
                Move(
                    topic_partition.partition,
                    held.epoch,
                    held.next_offset,
                    records[-1].offset + 1,
                    self._acknowledged.get(topic_partition),
                )
            )
        return sorted(moves)

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
