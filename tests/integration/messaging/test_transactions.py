"""Senders that write in Kafka's transactions: what they take back was never said."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from prometheus_client import REGISTRY

from commands import ORDERS
from harness.waiting import eventually
from messaging import (
    Assigned,
    BatchConsumer,
    KafkaConnection,
    TopicReader,
    TopicTail,
    ensure_topics,
    progress,
    read_again,
)
from runtime import Health, Settings


class Recording:
    """A handler that keeps what it got."""

    def __init__(self) -> None:
        self.handled: list[bytes | None] = []

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        return {
            partition: facts.committed.offset if facts.committed else facts.beginning
            for partition, facts in partitions.items()
        }

    async def handle(self, batch: Mapping[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]]) -> None:
        self.handled += [record.value for records in batch.values() for record in records]

    def acknowledged(self, offsets: Mapping[TopicPartition, int]) -> None: ...

    async def revoked(self) -> None: ...


class Senders:
    """Senders to the first partition of one topic, with and without transactions."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self.kafka = KafkaConnection(bootstrap_servers)
        self.topic = topic

    @asynccontextmanager
    async def producer(self, transactional_id: str | None = None) -> AsyncIterator[AIOKafkaProducer]:
        name = None if transactional_id is None else f"{self.topic}.{transactional_id}"
        async with AIOKafkaProducer(
            bootstrap_servers=self.kafka.bootstrap_servers, transactional_id=name
        ) as made:
            yield made

    async def send(self, *values: bytes) -> None:
        async with self.producer() as producer:
            for value in values:
                await producer.send_and_wait(self.topic, value, partition=0)

    async def transact(self, *values: bytes, commit: bool) -> None:
        async with self.producer("till") as producer:
            await producer.begin_transaction()
            for value in values:
                await producer.send_and_wait(self.topic, value, partition=0)
            await (producer.commit_transaction() if commit else producer.abort_transaction())

    async def leave_open(self, *values: bytes) -> None:
        """Send in a transaction and die before its end."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka.bootstrap_servers, transactional_id=f"{self.topic}.dead"
        )
        await producer.start()
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(self.topic, value, partition=0)
        # Without an end: its sender's connections break as they do when it is killed.
        producer._sender._sender_task.cancel()
        await producer.client.close()
        producer._closed = True

    async def end_open(self) -> None:
        """Take back what the dead sender left, as its next start does, or kafka-transactions.sh abort."""
        async with self.producer("dead"):
            pass


@pytest.fixture
async def senders(kafka_server: Any, topic_prefix: str) -> Senders:
    topics = ORDERS.topics(topic_prefix)
    await ensure_topics(KafkaConnection(kafka_server.bootstrap_servers), topics, partitions=1)
    return Senders(kafka_server.bootstrap_servers, topics.commands)


@asynccontextmanager
async def consuming(senders: Senders, handler: Recording, health: Health) -> AsyncIterator[None]:
    consumer = BatchConsumer(
        Settings(kafka_bootstrap_servers=senders.kafka.bootstrap_servers, stalled_after=0.5),
        topic=senders.topic,
        group=f"g.{senders.topic}",
        handler=handler,
        health=health,
    )
    task = asyncio.create_task(consumer.run())
    try:
        yield
    finally:
        consumer.stop()
        await asyncio.wait({task}, timeout=30)


async def test_what_was_taken_back_is_not_handled(senders: Senders) -> None:
    """Records of an aborted transaction are never handed out; those around it and committed ones are."""
    await senders.send(b"before")
    await senders.transact(b"taken back 1", b"taken back 2", commit=False)
    await senders.transact(b"committed", commit=True)
    await senders.transact(b"taken back 3", commit=False)
    handler = Recording()
    async with consuming(senders, handler, Health()):

        async def came() -> bool:
            return len(handler.handled) >= 2

        await eventually(came)
        await senders.send(b"after")
        await eventually(lambda: _true(b"after" in handler.handled))
    assert handler.handled == [b"before", b"committed", b"after"]


async def _true(value: bool) -> bool:
    return value


async def test_an_open_transaction_holds_its_partition_and_is_named(
    senders: Senders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies behind an open transaction waits; readiness and a metric name the partition and the cause."""
    monkeypatch.setattr(progress, "WATCH_INTERVAL", 0.05)
    await senders.send(b"before")
    await senders.leave_open(b"open")
    await senders.send(b"behind")
    handler, health = Recording(), Health()
    labels = {"topic": senders.topic, "group": f"g.{senders.topic}", "partition": "0"}

    def sample(name: str) -> float:
        return REGISTRY.get_sample_value(f"tillstream_consumer_{name}", labels) or 0.0

    async with consuming(senders, handler, health):

        async def named() -> bool:
            return "left open" in health.problems().get("consumer", "")

        await eventually(named)
        assert f"{senders.topic}/0 at 1" in health.problems()["consumer"]
        await eventually(lambda: _true(sample("held_seconds") > 0.5))
        assert sample("lag_records") == 2
        await eventually(lambda: _true(sample("oldest_seconds") > 0))
        assert handler.handled == [b"before"]
        await senders.end_open()
        await eventually(lambda: _true(handler.handled == [b"before", b"behind"]))
        await eventually(lambda: _true(not health.problems()))
        await eventually(lambda: _true(sample("held_seconds") == 0))


async def test_readers_outside_of_groups_read_what_was_committed(senders: Senders) -> None:
    """Whoever reads a stretch, a whole topic, or follows it, sees nothing that was taken back or is open."""
    await senders.send(b"before")
    await senders.transact(b"taken back", commit=False)
    async with TopicTail.open(senders.kafka, senders.topic, {0: 0}) as tail:
        found = [record.value for record in await tail.next_page()]
        await senders.transact(b"committed", commit=True)
        await senders.leave_open(b"open")
        while len(found) < 2:
            found += [record.value for record in await tail.next_page()]
    assert found == [b"before", b"committed"]
    async with TopicReader.open(senders.kafka, senders.topic) as reader:
        # The end of what can be read: where the open transaction begins.
        assert reader.ends == {0: 5}
        pages = [record.value async for page in reader.pages({0: 0}, reader.ends) for record in page]
    assert pages == [b"before", b"committed"]
    seen: list[bytes | None] = []
    await read_again(
        senders.kafka, TopicPartition(senders.topic, 0), 0, 5, lambda record: seen.append(record.value)
    )
    assert seen == [b"before", b"committed"]
