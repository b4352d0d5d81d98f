"""A read model's group at Kafka: what a reset goes by, and the reset itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError, UnknownTopicOrPartitionError
from aiokafka.structs import OffsetAndMetadata

from messaging import Committed, KafkaConnection, TopicReader, committed_offsets, fetch_topic_id
from operations.errors import OperationRefused, Unreachable
from operations.replay.scenarios import Offsets

_ANSWER_TIMEOUT = 20.0
_RETRY_SECONDS = 0.2


class Group:
    """The consumer group of a read model, on the topic of events."""

    def __init__(self, kafka: KafkaConnection, name: str, topic: str) -> None:
        self.kafka = kafka
        self.name = name
        self.topic = topic

    async def offsets(self, timestamp: int | None) -> dict[int, Offsets]:
        """Return what Kafka knows of each partition, also for a time in milliseconds if one is given.

        Raises Unreachable when Kafka doesn't answer, OperationRefused when there is no such topic.
        """
        async with _told(self.kafka, self.topic):
            async with TopicReader.open(self.kafka, self.topic) as reader:
                beginnings, ends = reader.beginnings, reader.ends
            committed = await self.committed(ends)
            at_time = {} if timestamp is None else await self._at(timestamp, ends)
        return {
            partition: Offsets(
                beginnings[partition],
                end,
                committed[partition].offset if partition in committed else None,
                at_time.get(partition),
            )
            for partition, end in sorted(ends.items())
        }

    async def topic_id(self) -> UUID:
        """Return the topic's id. Raises what `offsets` does."""
        async with _told(self.kafka, self.topic):
            return await fetch_topic_id(self.kafka, self.topic)

    async def committed(self, partitions: Collection[int]) -> dict[int, Committed]:
        """Return the committed offsets; a partition without one is absent. Raises what `offsets` does."""
        asked = [TopicPartition(self.topic, partition) for partition in partitions]
        async with _told(self.kafka, self.topic):
            while True:
                try:
                    found = await committed_offsets(self.kafka, self.name, asked)
                except KafkaError as error:
                    # A new cluster needs some tries until it can tell.
                    if not error.retriable:
                        raise
                    await asyncio.sleep(_RETRY_SECONDS)
                else:
                    return {partition.partition: offset for partition, offset in found.items()}

    async def reset(self, offsets: Mapping[int, int]) -> None:
        """Commit offsets with empty metadata, as Kafka's own tool does: the projectors know a reset by it.

        Raises OperationRefused when the group has members: Kafka takes such a commit for an empty group only.
        """
        moves = {
            TopicPartition(self.topic, partition): OffsetAndMetadata(offset, "")
            for partition, offset in offsets.items()
        }
        async with (
            _told(self.kafka, self.topic),
            AIOKafkaConsumer(
                **self.kafka.options(), group_id=self.name, enable_auto_commit=False
            ) as consumer,
        ):
            consumer.assign(list(moves))
            try:
                await consumer.commit(moves)
            except CommitFailedError as error:
                raise OperationRefused(
                    f"The group {self.name} is in use: its offsets can't be reset.",
                    "Stop its members, then go on with `till replay … --continue`, or end it with --cancel.",
                ) from error

    async def _at(self, timestamp: int, partitions: Collection[int]) -> dict[int, int]:
        asked = {TopicPartition(self.topic, partition): timestamp for partition in partitions}
        async with AIOKafkaConsumer(**self.kafka.options(), enable_auto_commit=False) as consumer:
            consumer.assign(list(asked))
            consumer.pause(*asked)
            found = await consumer.offsets_for_times(asked)
        return {partition.partition: at.offset for partition, at in found.items() if at is not None}


@asynccontextmanager
async def _told(kafka: KafkaConnection, topic: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            yield
    except UnknownTopicOrPartitionError as error:
        raise OperationRefused(f"Kafka has no topic {topic}.", "`till migrate` makes it.") from error
    except (KafkaError, TimeoutError, OSError) as error:
        raise Unreachable(f"Kafka at {kafka.bootstrap_servers} does not do it: {error!r}.") from error
