"""Reading a partition again for the dead letters that came before a start, on a real Kafka."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition

from command_service.dead_letter_limit import dead_before
from commands import ORDERS
from harness.plain_client import command
from local.servers import Kafka
from messaging import KafkaConnection, ensure_topics, read_range

MEGABYTE = b"[" * 1_000_000
JUNK = {"key": None, "value": MEGABYTE, "headers": []}


class Partition:
    """One partition that is written to and read again."""

    def __init__(self, kafka: KafkaConnection, producer: AIOKafkaProducer, topic: str) -> None:
        self.place = TopicPartition(topic, 0)
        self.find = dead_before(kafka)
        self._producer = producer

    async def send(self, *records: dict) -> None:
        for each in records:
            await self._producer.send_and_wait(self.place.topic, **each)


@pytest.fixture
async def partition(kafka_server: Kafka, topic_prefix: str) -> AsyncIterator[Partition]:
    """Give the one partition of a topic of commands."""
    kafka, topics = KafkaConnection(kafka_server.bootstrap_servers), ORDERS.topics(topic_prefix)
    await ensure_topics(kafka, topics, partitions=1)
    producer = AIOKafkaProducer(bootstrap_servers=kafka_server.bootstrap_servers)
    await producer.start()
    yield Partition(kafka, producer, topics.commands)
    await producer.stop()


def hostile() -> dict:
    return {**command("AddItem", str(uuid4())), "value": MEGABYTE}


async def test_commands_are_told_from_dead_letters_by_their_names(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a record holds is not parsed to tell that it was no dead letter, however large it is."""
    await partition.send(hostile(), JUNK, hostile(), JUNK, JUNK)
    monkeypatch.setattr("messaging.cloudevents.jiter", None)
    assert set(await partition.find(partition.place, 0, 4)) == {1, 3}
    assert set(await partition.find(partition.place, 2, 5)) == {3, 4}


async def test_a_stretch_that_does_not_come_is_counted_as_far_as_it_came(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no more records come, those before count, and it is told: a service must not end by it."""
    monkeypatch.setattr(read_range, "STALL_TIMEOUT", 2.0)
    await partition.send(JUNK, hostile(), JUNK)
    with structlog.testing.capture_logs() as logs:
        assert set(await partition.find(partition.place, 0, 4)) == {0, 2}
    (told,) = logs
    assert (told["event"], told["log_level"]) == ("dead_letters.count_incomplete", "warning")
    assert (told["end"], told["found"], told["error"]) == (4, 2, "TimeoutError()")


async def test_a_stretch_takes_as_long_as_records_come(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time allowed is for each step forward, not for the whole: a slow stretch is read to its end."""
    monkeypatch.setattr(read_range, "STALL_TIMEOUT", 4.0)
    clock = asyncio.get_running_loop().time
    started, count = clock(), 6

    async def send_slowly() -> None:
        for _ in range(count):
            await partition.send(JUNK)
            await asyncio.sleep(1.0)  # the sender's pace, not a wait for something

    sending = asyncio.create_task(send_slowly())
    assert set(await partition.find(partition.place, 0, count)) == set(range(count))
    await sending
    assert clock() - started > read_range.STALL_TIMEOUT
