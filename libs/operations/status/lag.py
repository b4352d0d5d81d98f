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
from operations.status.waiting import Waiting, WaitingReader
from readmodels import READ_MODELS
from readmodels.assignment import Checkpoint, RebuildNeeded, classify
from readmodels.checkpoints import live_checkpoints
from readmodels.read_model_status import ReadModelStatus, read_statuses, read_swap_blockers

_ASKING_TIMEOUT = 15.0
# A sender that was mended is told of no more after it.
_ELSEWHERE_WITHIN = timedelta(days=1)


class PartitionLag(NamedTuple):
    """Events from `place` on that a read model has not applied, and seconds since the oldest was recorded."""

    place: int
    records: int
    oldest_seconds: float
    parked_orders: int
    replaying: bool


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
    than their orders' others within the last day.
    """

    read_models: Mapping[str, Lag]
    outbox: OutboxDepth
    waiting: Mapping[str, Mapping[int, Waiting]]
    held_back: Sequence[HeldBack]
    elsewhere: Sequence[SourceElsewhere]


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
    # When the event at a place was recorded: it is asked for again while it waits.
    _recorded: dict[tuple[TopicPartition, int], datetime] = field(default_factory=dict, init=False)

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
                ends = await self.consumer.end_offsets(partitions)
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
                await self._look_up(
                    {(p, at) for found in places.values() for p, at in found.items() if at < ends[p]}
                )
        lags = {
            name: self._lag(statuses[name], found, ends, blockers.get(name, ()))
            for name, found in places.items()
        }
        return Lags(lags, outbox, waiting, held_back, elsewhere)

    def _lag(
        self,
        status: ReadModelStatus,
        places: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        blockers: Sequence[str],
    ) -> Lag:
        now = datetime.now(UTC)
        found = {}
        for partition, at in sorted(places.items()):
            recorded = self._recorded.get((partition, at))
            seconds = 0.0 if recorded is None else max(0.0, (now - recorded).total_seconds())
            number = partition.partition
            place = status.places.get(number)
            found[number] = PartitionLag(
                at,
                max(0, ends[partition] - at),
                round(seconds, 3),
                status.parked.get(number, 0),
                place is not None and place.replaying,
            )
        return Lag(found, status, blockers)

    async def _look_up(self, places: Collection[tuple[TopicPartition, int]]) -> None:
        """Find out when the events at these places were recorded."""
        self._recorded = {place: at for place, at in self._recorded.items() if place in places}
        missing = set(places) - self._recorded.keys()
        # Ends with the caller's deadline: below the end of a partition there is a record.
        while missing:
            # The consumer is at one place of a partition at a time; the read models mostly are at few.
            wanted = dict(missing)
            self.consumer.assign(list(wanted))
            for partition, at in wanted.items():
                self.consumer.seek(partition, at)
            while wanted:
                for partition, records in (await self.consumer.getmany(*wanted, timeout_ms=1000)).items():
                    place = (partition, wanted.pop(partition))
                    self._recorded[place] = event_in(records[0], ORDERS.type_prefix).recorded_at
                    missing.discard(place)


def place_of(kafka: Assigned, checkpoint: Checkpoint | None, topic_id: UUID) -> int:
    """Return where a read model goes on in one partition, as its projector decides when it is assigned it."""
    try:
        return classify(kafka, checkpoint, topic_id).offset
    except RebuildNeeded:
        # Of a topic that was made anew nothing is applied.
        return kafka.beginning
