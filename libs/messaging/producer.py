"""An idempotent producer that sends whole batches and waits, within a bound, until they are safe."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from messaging.aiokafka_fixes.stopping import drop_producer
from messaging.connection import KafkaConnection
from messaging.partitioning import partition_of
from messaging.refusals import telling_refusals

# The broker refuses a batch above the topic's max.message.bytes (1 MiB), however small its records are.
BATCH_BYTES = 256 * 1024
# A dead letter is a record of up to 1 MiB and what is said about it.
REQUEST_BYTES = 4 * 1024 * 1024
REQUEST_TIMEOUT_MS = 10_000
SEND_TIMEOUT = 15.0


class Message(NamedTuple):
    """One Kafka message, ready to send."""

    topic: str
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    value: bytes | None

    def size(self) -> int:
        """Return the bytes it takes in a batch, its timestamp and place in the batch left out."""
        return int(DefaultRecordBatchBuilder.size_of(self.key, self.value, self.headers))


class Producer:
    """Sends messages to the partition their key names, by the partitioner named: Kafka's default, or another.

    One whose `send` failed is dropped and replaced: aiokafka's idempotent producer can stay out of sequence
    (aiokafka#1017), and what it still holds must not be flushed after newer messages.
    """

    def __init__(self, kafka: KafkaConnection, partitioner: str = "murmur2") -> None:
        self._kafka = kafka
        self._partitioner = partitioner
        self._producer = AIOKafkaProducer(
            **kafka.options(),
            enable_idempotence=True,
            acks="all",
            max_batch_size=BATCH_BYTES,
            max_request_size=REQUEST_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )

    async def start(self) -> None:
        """Connect; raises KafkaError when no broker answers, KafkaRefused when one turns us away."""
        async with asyncio.timeout(SEND_TIMEOUT), telling_refusals(self._kafka):
            await self._producer.start()

    async def send(self, messages: Sequence[Message]) -> None:
        """Send in the given order per partition and return when all are acknowledged.

        Raises KafkaError or TimeoutError; some of the messages may be on the topic then.
        """
        async with asyncio.timeout(SEND_TIMEOUT):
            partitions: dict[tuple[str, int], list[Message]] = {}
            counts: dict[str, int] = {}
            for message in messages:
                count = counts.get(message.topic)
                if count is None:
                    count = counts[message.topic] = len(await self._producer.partitions_for(message.topic))
                partition = partition_of(message.key or b"", count, self._partitioner)
                partitions.setdefault((message.topic, partition), []).append(message)
            async with asyncio.TaskGroup() as sending:
                for (topic, partition), group in partitions.items():
                    sending.create_task(self._send_in_order(topic, partition, group))

    async def _send_in_order(self, topic: str, partition: int, messages: Sequence[Message]) -> None:
        # Each batch only after the one before it is safe: were that one given up, a producer id that is new
        # to the partition could still place this one, and a version would come before its predecessor.
        for batch in self._batches(messages):
            await (await self._producer.send_batch(batch, topic, partition=partition))

    def _batches(self, messages: Sequence[Message]) -> list[BatchBuilder]:
        batches = [self._producer.create_batch()]
        for message in messages:
            while (
                batches[-1].append(
                    key=message.key, value=message.value, headers=message.headers, timestamp=None
                )
                is None
            ):
                batches.append(self._producer.create_batch())
        for batch in batches:
            batch.close()
        return batches

    async def drop(self) -> None:
        """Close the connections without sending what is still held, within a bound."""
        await drop_producer(self._producer)
