"""Reading a topic, or stretches of it, outside of any consumer group."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self
from uuid import UUID

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from messaging.aiokafka_fixes.stopping import stop_consumer
from messaging.aiokafka_fixes.topic_id import fetch_topic
from messaging.connection import KafkaConnection
from messaging.refusals import telling_refusals

Offsets = Mapping[int, int]
"""Partition → offset."""

# Between two records there must be one within this: the stretches end below the partitions' ends.
SILENCE_TIMEOUT = 30.0
_POLL_MS = 500
_PAGE_RECORDS = 2_000


class TopicReader:
    """A topic, with its id and the offsets its partitions began and ended at when it was opened."""

    def __init__(
        self, consumer: AIOKafkaConsumer, topic: str, topic_id: UUID, beginnings: Offsets, ends: Offsets
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self.topic_id = topic_id
        self.beginnings = beginnings
        self.ends = ends

    @classmethod
    @asynccontextmanager
    async def open(cls, kafka: KafkaConnection, topic: str) -> AsyncIterator[Self]:
        """Open a topic.

        Raises KafkaError: UnknownTopicOrPartitionError where there is no such topic,
        TopicAuthorizationFailedError where we may not know of it; and OSError.
        """
        async with telling_refusals(kafka):
            facts = await fetch_topic(kafka, topic)
        consumer = kafka.consumer(auto_offset_reset="earliest")
        try:
            await consumer.start()
            partitions = [TopicPartition(topic, number) for number in range(facts.partitions)]
            # Of partitions that aren't assigned the first answer can be that there is no leader yet.
            consumer.assign(partitions)
            consumer.pause(*partitions)
            beginnings = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
            yield cls(consumer, topic, facts.topic_id, numbered(beginnings), numbered(ends))
        finally:
            await stop_consumer(consumer)

    async def current_ends(self) -> dict[int, int]:
        """Return where the partitions end by now."""
        return numbered(
            await self._consumer.end_offsets([TopicPartition(self._topic, number) for number in self.ends])
        )

    async def offsets_at(self, timestamp: int) -> dict[int, int | None]:
        """Return where the first record at or after a time in milliseconds lies; None where there is none."""
        asked = {TopicPartition(self._topic, number): timestamp for number in self.ends}
        found = await self._consumer.offsets_for_times(asked)
        return {partition.partition: at and at.offset for partition, at in found.items()}

    async def pages(self, first: Offsets, ends: Offsets) -> AsyncIterator[list[ConsumerRecord[bytes, bytes]]]:
        """Yield the records from `first` up to, not including, `ends`, in order within each partition.

        Records that are gone by now are passed over. Raises KafkaError, and TimeoutError when none comes.
        """
        left = {
            TopicPartition(self._topic, number): ends[number]
            for number, offset in first.items()
            if offset < ends[number]
        }
        if not left:
            return
        self._consumer.assign(list(left))
        for partition in left:
            self._consumer.seek(partition, first[partition.partition])
        while left:
            async with asyncio.timeout(SILENCE_TIMEOUT):
                found: list[ConsumerRecord[bytes, bytes]] = []
                while left and not found:
                    fetched = await self._consumer.getmany(
                        *left, timeout_ms=_POLL_MS, max_records=_PAGE_RECORDS
                    )
                    for partition, records in fetched.items():
                        found += [record for record in records if record.offset < left[partition]]
                    for partition in list(left):
                        if await self._consumer.position(partition) >= left[partition]:
                            del left[partition]
                            self._consumer.pause(partition)
            if found:
                yield found


def numbered(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    """Return partition number → offset, of one topic."""
    return {partition.partition: offset for partition, offset in offsets.items()}
