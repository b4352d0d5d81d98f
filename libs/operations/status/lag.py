"""How far each read model is behind the topic of events, and how much waits to be published."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from commands import CONTEXTS, ORDERS, SourceElsewhere, read_elsewhere
from eventstore.outbox_depth import OutboxDepth, outbox_depth
from messaging import Assigned, KafkaConnection, Topics, fetch_topic, stop_consumer
from operations.dead_letters import HeldBack, list_held_back
from operations.groups import wait_for_committed
from operations.reaching_kafka import event_in, reaching_kafka
from operations.status.waiting import OpenTransaction, Waiting, WaitingReader
from readmodels import READ_MODELS
from readmodels.assignment import Checkpoint, RebuildNeeded, classify
from readmodels.checkpoints import live_checkpoints
from readmodels.read_model_status import ReadModelStatus, read_statuses, read_swap_blockers

_ASKING_TIMEOUT = 15.0
# A sender that was mended is told of no more after it.
_ELSEWHERE_WITHIN = timedelta(days=1)


class PartitionLag(NamedTuple):
    """Events from `place` on that a read model has not applied, and seconds since the oldest was recorded.

    `held_at` is the offset of a transaction that its sender has not ended, where that is all that waits.
    """

    place: int
    records: int
    oldest_seconds: float
    parked_orders: int
    replaying: bool
    held_at: int | None


@dataclass(frozen=True)
class Lag:
    """One read model's lag, by partition, how it stands, and who keeps its build from being swapped in."""

    partitions: Mapping[int, PartitionLag]
    status: ReadModelStatus
    swap_blocked_by: Sequence[str] = ()

    @property
    def records(self) -> int:
        """Events on the topic that it has not applied; 0 when level."""
        return sum(each.records for each in self.partitions.values())

    @property
    def oldest_seconds(self) -> float:
        """The age of the oldest of them; 0 when level."""
        return max((each.oldest_seconds for each in self.partitions.values()), default=0.0)

    @property
    def parked_orders(self) -> int:
        """Orders that wait for a retry."""
        return sum(self.status.parked.values())


class Lags(NamedTuple):
    """What till tells of an installation's lag; `waiting` is topic → partition → the commands that wait.

    `held_back` is what the dead-letter limit holds of them, `elsewhere` who sent some to another partition
    than their orders' others within the last day; `transactions` is topic → partition → the open transaction
    that holds events back from all their readers.
    """

    read_models: Mapping[str, Lag]
    outbox: OutboxDepth
    waiting: Mapping[str, Mapping[int, Waiting]]
    held_back: Sequence[HeldBack]
    elsewhere: Sequence[SourceElsewhere]
    transactions: Mapping[str, Mapping[int, OpenTransaction]]


async def read_lags(connection: asyncpg.Connection, kafka: KafkaConnection, topics: Topics) -> Lags:
    """Return the lags once; raises what `LagReader.read` does."""
    async with lag_reader(connection, kafka, topics) as reader:
        return await reader.read()


@asynccontextmanager
async def lag_reader(
    connection: asyncpg.Connection, kafka: KafkaConnection, topics: Topics
) -> AsyncIterator["LagReader"]:
    """Give what reads lags again and again. Raises Unreachable when Kafka doesn't answer."""
    # One record of a partition is enough: the oldest.
    consumer, stack = kafka.consumer(max_partition_fetch_bytes=64 * 1024), AsyncExitStack()
    try:
        with reaching_kafka(kafka):
            async with asyncio.timeout(_ASKING_TIMEOUT):
                await consumer.start()
                waiting = await stack.enter_async_context(WaitingReader(kafka, topics.prefix))
        yield LagReader(kafka, topics, connection, consumer, waiting)
    finally:
        await stack.aclose()
        await stop_consumer(consumer)


@dataclass
class LagReader:
    """Reads lags over connections that it was given."""

    kafka: KafkaConnection
    topics: Topics
    connection: asyncpg.Connection
    consumer: AIOKafkaConsumer
    waiting: WaitingReader
    # The first event from a place on, and when it was recorded: it is asked for again while it waits.
    _oldest: dict[tuple[TopicPartition, int], tuple[int, datetime]] = field(default_factory=dict, init=False)

    async def read(self) -> Lags:
        """Return the lag of every read model and of the outbox, and the commands that wait.

        It goes by the checkpoints, and by a reset of the group's offsets that its projectors will follow: so
        it is true for a stopped projector, after a crash and after a reset with any Kafka tool. Raises
        Unreachable when Kafka doesn't answer, NotFound when the topic is missing, and OperationRefused for a
        record that is no event.
        """
        topic = self.topics.events
        outbox = await outbox_depth(self.connection)
        held_back = [each for each in await list_held_back(self.connection) if each.released_at is None]
        elsewhere = await read_elsewhere(self.connection, _ELSEWHERE_WITHIN)
        with reaching_kafka(self.kafka):
            async with asyncio.timeout(_ASKING_TIMEOUT):
                waiting = {
                    context.topics(self.topics.prefix).commands: await self.waiting.read(context)
                    for context in CONTEXTS.values()
                }
                found_topic = await fetch_topic(self.kafka, topic)
                partitions = [TopicPartition(topic, number) for number in range(found_topic.partitions)]
                beginnings = await self.consumer.beginning_offsets(partitions)
                committed = await asyncio.gather(
                    *(
                        wait_for_committed(self.kafka, self.topics.group(f"projector.{name}"), partitions)
                        for name in READ_MODELS
                    )
                )
                statuses = await read_statuses(self.connection, topic, READ_MODELS)
                blockers = await read_swap_blockers(self.connection)
                checkpoints = {
                    name: (await live_checkpoints(self.connection, name, topic))[1] for name in READ_MODELS
                }
                # Last, so that what was applied meanwhile is not counted as ahead of them.
                written = await self.waiting.written_ends(partitions)
                ends = await self.consumer.end_offsets(partitions)
                transactions = await self.waiting.open_transactions(ends, written)
                places = {
                    name: {
                        p: place_of(
                            Assigned(found.get(p), begin, ends[p]),
                            checkpoints[name].get(p.partition),
                            found_topic.topic_id,
                        )
                        for p, begin in beginnings.items()
                    }
                    for name, found in zip(READ_MODELS, committed, strict=True)
                }
                waits = {(p, at) for found in places.values() for p, at in found.items() if at < ends[p]}
                await self._look_up(waits, ends)
        lags = {
            name: self._lag(statuses[name], found, ends, transactions, blockers.get(name, ()))
            for name, found in places.items()
        }
        held = {partition.partition: each for partition, each in sorted(transactions.items())}
        return Lags(lags, outbox, waiting, held_back, elsewhere, {topic: held})

    def _lag(
        self,
        status: ReadModelStatus,
        places: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        transactions: Mapping[TopicPartition, OpenTransaction],
        blockers: Sequence[str],
    ) -> Lag:
        now = datetime.now(UTC)
        found = {}
        for partition, at in sorted(places.items()):
            number = partition.partition
            records, seconds, held_at = 0, 0.0, None
            transaction = transactions.get(partition)
            if oldest := self._oldest.get((partition, at)):
                records, seconds = ends[partition] - oldest[0], (now - oldest[1]).total_seconds()
            elif transaction is not None:
                seconds, held_at = transaction.seconds, transaction.at
            place = status.places.get(number)
            found[number] = PartitionLag(
                at,
                max(0, records) + (0 if transaction is None else transaction.records),
                round(max(0.0, seconds), 3),
                status.parked.get(number, 0),
                place is not None and place.replaying,
                held_at,
            )
        return Lag(found, status, blockers)

    async def _look_up(
        self, places: Collection[tuple[TopicPartition, int]], ends: Mapping[TopicPartition, int]
    ) -> None:
        """Find the first event from each of these places on, and when it was recorded.

        Where there are only the marks of senders' transactions, and what they took back, there is none.
        """
        self._oldest = {place: oldest for place, oldest in self._oldest.items() if place in places}
        missing = set(places) - self._oldest.keys()
        while missing:
            # The consumer is at one place of a partition at a time; the read models mostly are at few.
            wanted = dict(missing)
            self.consumer.assign(list(wanted))
            for partition, at in wanted.items():
                self.consumer.seek(partition, at)
            while wanted:
                for partition, records in (await self.consumer.getmany(*wanted, timeout_ms=200)).items():
                    place, first = (partition, wanted.pop(partition)), records[0]
                    self._oldest[place] = first.offset, event_in(first, ORDERS.type_prefix).recorded_at
                    missing.discard(place)
                for partition, at in [*wanted.items()]:
                    if await self.consumer.position(partition) >= ends[partition]:
                        del wanted[partition]
                        missing.discard((partition, at))


def place_of(kafka: Assigned, checkpoint: Checkpoint | None, topic_id: UUID) -> int:
    """Return where a read model goes on in one partition, as its projector decides when it is assigned it."""
    try:
        return classify(kafka, checkpoint, topic_id).offset
    except RebuildNeeded:
        # Of a topic that was made anew nothing is applied.
        return kafka.beginning
