"""The consumer that every service handles its batches with, on a real Kafka."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError
from prometheus_client import REGISTRY

from commands import ORDERS
from harness.raw_records import send_raw
from harness.topics import widen_topic
from harness.waiting import eventually
from messaging import (
    Assigned,
    BatchConsumer,
    Committed,
    KafkaConnection,
    Unrecoverable,
    committed_offsets,
    ensure_topics,
    fetch_topic,
)
from messaging.aiokafka_fixes import header_names
from runtime import EXIT_FATAL, Health, Settings

GROUP = "test"


class Recording:
    """A handler that keeps what it got and fails as often as it is told."""

    def __init__(self, failures: int = 0, starts: Mapping[int, int] | None = None) -> None:
        self.failures = failures
        self.starts = starts or {}
        self.handled: list[bytes] = []
        self.attempts: list[list[bytes]] = []
        self.facts: dict[TopicPartition, Assigned] = {}
        self.acknowledged_offsets: dict[TopicPartition, int] = {}

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        self.facts = dict(partitions)
        return {
            partition: self.starts.get(
                partition.partition, facts.committed.offset if facts.committed else facts.beginning
            )
            for partition, facts in partitions.items()
        }

    async def handle(self, batch: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> None:
        values = [record.value for records in batch.values() for record in records]
        self.attempts.append(values)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the database is away")
        self.handled.extend(values)

    def acknowledged(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.acknowledged_offsets.update(offsets)

    async def revoked(self) -> None:
        pass


class Consuming:
    """One topic, and consumers of it in this process."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self.settings = settings
        self.topic = topic
        self.consumers: list[tuple[BatchConsumer, asyncio.Task[int]]] = []

    async def send(self, *values: bytes) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.settings.kafka_bootstrap_servers)
        await producer.start()
        for value in values:
            await producer.send_and_wait(self.topic, value, partition=0)
        await producer.stop()

    def start(self, handler: Recording, **settings: Any) -> asyncio.Task[int]:
        consumer = BatchConsumer(
            self.settings.model_copy(update=settings),
            topic=self.topic,
            group=self.settings.topic_prefix + GROUP,
            handler=handler,
            health=Health(),
        )
        task = asyncio.create_task(consumer.run())
        self.consumers.append((consumer, task))
        return task

    async def stop(self) -> None:
        for consumer, task in self.consumers:
            consumer.stop()
            await asyncio.wait({task}, timeout=30)
        self.consumers.clear()

    async def committed(self) -> Committed | None:
        partition = TopicPartition(self.topic, 0)
        offsets = await committed_offsets(
            KafkaConnection.of(self.settings), self.settings.topic_prefix + GROUP, [partition]
        )
        return offsets.get(partition)


@pytest.fixture
async def consuming(kafka_server: Any, topic_prefix: str) -> AsyncIterator[Consuming]:
    """Give a topic of one partition."""
    topics = ORDERS.topics(topic_prefix)
    await ensure_topics(KafkaConnection(kafka_server.bootstrap_servers), topics, partitions=1)
    settings = Settings(kafka_bootstrap_servers=kafka_server.bootstrap_servers, topic_prefix=topic_prefix)
    made = Consuming(settings, topics.commands)
    try:
        yield made
    finally:
        await made.stop()


async def handled(handler: Recording, count: int) -> None:
    async def enough() -> bool:
        return len(handler.handled) >= count

    await eventually(enough)


async def test_a_failed_batch_comes_again_and_nothing_is_passed_over(consuming: Consuming) -> None:
    """A batch whose handling fails is tried again in place, before anything newer, until it succeeds."""
    await consuming.send(b"1", b"2", b"3")
    handler = Recording(failures=3)
    consuming.start(handler)
    await handled(handler, 3)
    await consuming.send(b"4")
    await handled(handler, 4)
    assert handler.handled == [b"1", b"2", b"3", b"4"]
    first = handler.attempts[0]
    assert handler.attempts[:4] == [first] * 4


async def test_past_the_budget_the_process_ends_and_commits_nothing(consuming: Consuming) -> None:
    """A batch that can't be handled within the budget ends the consumer non-zero, its offset uncommitted."""
    await consuming.send(b"1")
    task = consuming.start(Recording(failures=1_000), retry_budget=1.0)
    assert await asyncio.wait_for(task, 60) == EXIT_FATAL
    assert await consuming.committed() == Committed(0, ours=True)
    successor = Recording()
    consuming.start(successor)
    await handled(successor, 1)
    assert successor.handled == [b"1"]


class FailingLate(Recording):
    """A handler that stands still for longer than the budget, and then fails once: at both its tasks."""

    late = 1.0

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        if not self.facts:
            await asyncio.sleep(self.late)
            await super().assigned(partitions)
            raise ConnectionError("the database has ended the session meanwhile")
        return await super().assigned(partitions)

    async def handle(self, batch: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> None:
        if self.failures:
            await asyncio.sleep(self.late)
        await super().handle(batch)


async def test_the_budget_counts_from_the_first_failure(consuming: Consuming) -> None:
    """A process that stood still, or took long over its work, still tries again when that fails."""
    await consuming.send(b"1")
    handler = FailingLate(failures=1)
    consuming.start(handler, retry_budget=FailingLate.late / 2)
    await handled(handler, 1)
    assert len(handler.attempts) == 2


async def test_commits_are_marked_as_ours_from_the_assignment_on(consuming: Consuming) -> None:
    """Every committed offset carries our mark, already before the first record is handled."""
    handler = Recording()
    consuming.start(handler)

    async def committed() -> Committed | None:
        try:
            return await consuming.committed()
        except KafkaError:  # the group has no coordinator yet
            return None

    assert await eventually(committed) == Committed(0, ours=True)
    await consuming.send(b"1", b"2")
    await handled(handler, 2)

    async def moved() -> bool:
        return await consuming.committed() == Committed(2, ours=True)

    await eventually(moved)
    assert handler.acknowledged_offsets == {TopicPartition(consuming.topic, 0): 2}
    await consuming.stop()
    later = Recording()
    consuming.start(later)

    async def assigned() -> bool:
        return bool(later.facts)

    await eventually(assigned)
    assert later.facts[TopicPartition(consuming.topic, 0)] == Assigned(Committed(2, ours=True), 0, 2)


async def test_the_handler_decides_where_a_partition_goes_on(consuming: Consuming) -> None:
    """Records before the offset that the handler chose never reach it, whatever Kafka has committed."""
    await consuming.send(*(str(number).encode() for number in range(50)))
    handler = Recording(starts={0: 45})
    consuming.start(handler)
    await handled(handler, 5)
    assert handler.handled == [b"45", b"46", b"47", b"48", b"49"]


class Refusing(Recording):
    """A handler that knows at once that it can't go on."""

    async def handle(self, batch: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> None:
        await super().handle(batch)
        raise Unrecoverable("the topic was made anew")


async def test_what_no_try_can_mend_ends_the_process_at_once(consuming: Consuming) -> None:
    """A handler's Unrecoverable is not tried again: one attempt, nothing committed, unready, status 70."""
    await consuming.send(b"1")
    handler = Refusing()
    assert await asyncio.wait_for(consuming.start(handler, retry_budget=600), 60) == EXIT_FATAL
    assert len(handler.attempts) == 1
    assert await consuming.committed() == Committed(0, ours=True)
    assert "gave up" in (consuming.consumers[-1][0]._problem() or "")


class KeepingNames(Recording):
    """A handler that keeps the headers' names too."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    async def handle(self, batch: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> None:
        await super().handle(batch)
        self.names += [name for records in batch.values() for record in records for name, _ in record.headers]


async def test_a_header_name_that_is_not_utf8_reaches_the_handler(consuming: Consuming) -> None:
    """A record that aiokafka alone can't read is handled in its place, its neighbours around it."""
    await consuming.send(b"1", b"2")
    odd = {"key": None, "value": b"3", "headers": [("na\xffe", b"")]}
    await send_raw(consuming.settings.kafka_bootstrap_servers, consuming.topic, 0, odd)
    await consuming.send(b"4")
    handler = KeepingNames()
    consuming.start(handler)
    await handled(handler, 4)
    assert handler.handled == [b"1", b"2", b"3", b"4"]
    assert handler.names == ["na\udcffe"]


async def test_a_corrupt_batch_ends_the_process_and_loses_no_other(
    consuming: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch whose checksum is wrong ends the process, its place told, and what is before it is handled."""
    await consuming.send(b"1", b"2")
    await send_raw(
        consuming.settings.kafka_bootstrap_servers,
        consuming.topic,
        0,
        {"key": None, "value": b"3", "headers": [("na\xffe", b"")]},
    )

    def checksum(batch: Any) -> bool:
        return bool(batch.base_offset < 2)

    monkeypatch.setattr(header_names._Batch, "validate_crc", checksum, raising=False)
    handler = Recording()
    with structlog.testing.capture_logs() as logs:
        assert await asyncio.wait_for(consuming.start(handler), 60) == EXIT_FATAL
    (told,) = [line for line in logs if line["event"] == "consumer.unreadable"]
    assert told["reason"].startswith(f"{consuming.topic}/0/2 can't be read: ")
    committed = await consuming.committed()
    assert committed is not None
    assert committed.offset == len(handler.handled) <= 2


async def test_a_senders_transaction_leaves_no_lag(consuming: Consuming) -> None:
    """The mark at a transaction's end is no record: with all records handled, nothing waits."""
    handler = Recording()
    consuming.start(handler, stalled_after=0.1)
    producer = AIOKafkaProducer(
        bootstrap_servers=consuming.settings.kafka_bootstrap_servers,
        transactional_id=f"{consuming.topic}-sender",
    )
    await producer.start()
    async with producer.transaction():
        await producer.send(consuming.topic, b"1", partition=0)
    await producer.stop()
    await handled(handler, 1)

    async def level() -> bool:
        labels = {
            "topic": consuming.topic,
            "group": f"{consuming.settings.topic_prefix}{GROUP}",
            "partition": "0",
        }
        return REGISTRY.get_sample_value("tillstream_consumer_lag_records", labels) == 0

    await eventually(level)


class Late(Recording):
    """A handler that is first sent where records were, before they were deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.beginnings: list[int] = []

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        (facts,) = partitions.values()
        self.beginnings.append(facts.beginning)
        return dict.fromkeys(partitions, 0 if len(self.beginnings) == 1 else facts.beginning)


async def test_records_deleted_ahead_of_a_consumer_end_it(consuming: Consuming) -> None:
    """Where Kafka has deleted records before they were handled, it ends; the next assignment decides."""
    await consuming.send(b"1", b"2", b"3", b"4")
    admin = AIOKafkaAdminClient(bootstrap_servers=consuming.settings.kafka_bootstrap_servers)
    await admin.start()
    await admin.delete_records({TopicPartition(consuming.topic, 0): RecordsToDelete(before_offset=2)})
    await admin.close()
    handler = Late()
    with structlog.testing.capture_logs() as logs:
        assert await consuming.start(handler) == EXIT_FATAL
    assert handler.handled == []
    (told,) = [entry for entry in logs if entry["event"] == "consumer.refused"]
    assert "begins at 2" in told["reason"]
    consuming.start(handler)
    await handled(handler, 2)
    assert handler.handled == [b"3", b"4"]
    assert handler.beginnings == [2, 2]


async def test_a_partition_that_is_added_is_taken_up(consuming: Consuming) -> None:
    """What is sent to a partition that the topic did not have at the start is handled without a restart."""
    handler = Recording()
    consuming.start(handler)
    await consuming.send(b"first")
    await eventually(lambda: _holds(handler, b"first"))
    kafka = KafkaConnection.of(consuming.settings)
    before = (await fetch_topic(kafka, consuming.topic)).partitions
    await widen_topic(kafka.bootstrap_servers, consuming.topic, before + 1)
    async with AIOKafkaProducer(**kafka.options()) as producer:
        await producer.send_and_wait(consuming.topic, b"added", partition=before)
    await eventually(lambda: _holds(handler, b"added"))


async def _holds(handler: Recording, value: bytes) -> bool:
    return value in handler.handled
