"""Whole topics of one installation, as they are at a moment."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord


class WholeTopics:
    """Looks at topics, named without their prefix."""

    def __init__(self, bootstrap_servers: str, prefix: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._prefix = prefix
        self._looking: dict[str, AIOKafkaConsumer] = {}

    async def records(self, topic: str) -> list[ConsumerRecord]:
        """Give all that is on the topic by now, in order within each partition."""
        records: list[ConsumerRecord] = []
        async with self._consumer(topic) as consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            while len(records) < sum(ends.values()):
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    records.extend(batch)
        return records

    async def ends(self, topic: str) -> dict[int, int]:
        """Give the offset after the last record of each partition."""
        consumer = self._looking.get(topic)
        if consumer is None:
            consumer = self._looking[topic] = self._consumer(topic)
            await consumer.start()
            # It only asks for offsets, and fetches no records.
            consumer.pause(*consumer.assignment())
        ends = await consumer.end_offsets(consumer.assignment())
        return {partition.partition: end for partition, end in ends.items()}

    async def close(self) -> None:
        """Close what `ends` keeps open."""
        for consumer in self._looking.values():
            await consumer.stop()

    def _consumer(self, topic: str) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            f"{self._prefix}{topic}", bootstrap_servers=self._bootstrap_servers, auto_offset_reset="earliest"
        )


@asynccontextmanager
async def whole_topics(bootstrap_servers: str, prefix: str) -> AsyncIterator[WholeTopics]:
    """Give a look at an installation's topics."""
    looking = WholeTopics(bootstrap_servers, prefix)
    try:
        yield looking
    finally:
        await looking.close()
