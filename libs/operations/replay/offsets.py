"""A read model's group at Kafka: what a reset goes by, and the reset itself."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata

from messaging import Committed, KafkaConnection, TopicReader, fetch_topic_id
from operations.errors import AlreadyUnderWay
from operations.groups import wait_for_committed
from operations.reaching_kafka import reaching_kafka
from operations.replay.scenarios import Offsets

_ANSWER_TIMEOUT = 20.0


@dataclass(frozen=True)
class Group:
    """The consumer group of a read model, on the topic of events.

    Everything it does raises Unreachable when Kafka doesn't answer, NotFound when there is no such topic.
    """

    kafka: KafkaConnection
    name: str
    topic: str

    async def offsets(self, timestamp: int | None) -> dict[int, Offsets]:
        """Return what Kafka knows of each partition, also for a time in milliseconds if one is given."""
        async with self._answering(), TopicReader.open(self.kafka, self.topic) as reader:
            committed = await self.committed(reader.ends)
            at_time = {} if timestamp is None else await reader.offsets_at(timestamp)
            return {
                partition: Offsets(
                    reader.beginnings[partition],
                    end,
                    committed[partition].offset if partition in committed else None,
                    at_time.get(partition),
                )
                for partition, end in sorted(reader.ends.items())
            }

    async def topic_id(self) -> UUID:
        """Return the topic's id."""
        async with self._answering():
            return await fetch_topic_id(self.kafka, self.topic)

    async def committed(self, partitions: Collection[int]) -> dict[int, Committed]:
        """Return the committed offsets; a partition without one is absent."""
        asked = [TopicPartition(self.topic, partition) for partition in partitions]
        async with self._answering():
            found = await wait_for_committed(self.kafka, self.name, asked)
        return {partition.partition: offset for partition, offset in found.items()}

    async def reset(self, offsets: Mapping[int, int]) -> None:
        """Commit offsets with empty metadata, as Kafka's own tool does: the projectors know a reset by it.

        Raises AlreadyUnderWay when the group has members: Kafka takes such a commit for an empty group only.
        """
        moves = {
            TopicPartition(self.topic, partition): OffsetAndMetadata(offset, "")
            for partition, offset in offsets.items()
        }
        async with self._answering(), self.kafka.consumer(group_id=self.name) as consumer:
            consumer.assign(list(moves))
            try:
                await consumer.commit(moves)
            except CommitFailedError as error:
                raise AlreadyUnderWay(
                    "group_in_use", f"The group {self.name} is in use: its offsets can't be reset."
                ) from error

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        with reaching_kafka(self.kafka):
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                yield
