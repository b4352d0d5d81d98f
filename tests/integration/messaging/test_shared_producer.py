"""Single messages of many callers through one producer, on a real Kafka."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.errors import KafkaError
from aiokafka.producer.sender import Sender

from commands import ORDERS
from harness.plain_client import plain_client
from messaging import KafkaConnection, Message, SharedProducer, ensure_topics, partition_of, shared_producer

PARTITIONS = 3
DEADLINE = 60.0


@pytest.fixture
async def producer(
    kafka_server: Any, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SharedProducer]:
    monkeypatch.setattr(shared_producer, "REQUEST_TIMEOUT_MS", 4_000)
    kafka = KafkaConnection(kafka_server.bootstrap_servers)
    await ensure_topics(kafka, ORDERS.topics(topic_prefix), partitions=PARTITIONS)
    made = SharedProducer(kafka, "murmur2")
    await made.start()
    await made._producer.partitions_for(ORDERS.topics(topic_prefix).commands)
    yield made
    await made.drop()


def messages(topic_prefix: str, count: int) -> list[Message]:
    topic = ORDERS.topics(topic_prefix).commands
    return [Message(topic, str(number).encode(), [], b"{}") for number in range(count)]


async def test_what_is_in_hand_together_goes_out_together(
    producer: SharedProducer, kafka_server: Any, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of messages at once take a few requests, and each lies once where its key belongs."""
    requests = []
    send = Sender._send_produce_req

    async def counted(self: Sender, node: int, batches: Any) -> None:
        requests.append(len(batches))
        await send(self, node, batches)

    monkeypatch.setattr(Sender, "_send_produce_req", counted)
    sent = messages(topic_prefix, 600)
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*map(producer.send, sent))
    assert len(requests) < 10
    async with plain_client(kafka_server.bootstrap_servers, topic_prefix) as client:
        records = await client.read("orders.commands", len(sent))
    assert {(record.key, record.partition) for record in records} == {
        (message.key, partition_of(message.key or b"", PARTITIONS)) for message in sent
    }
    assert len(records) == len(sent)


async def test_a_partition_without_a_leader_takes_no_other_along(
    producer: SharedProducer, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages of a lost partition fail within a bound, all others go through meanwhile and afterwards."""
    cluster = producer._producer.client.cluster
    leader = cluster.leader_for_partition
    monkeypatch.setattr(
        cluster, "leader_for_partition", lambda place: -1 if place.partition == 0 else leader(place)
    )
    sent = messages(topic_prefix, 60)
    lost = [message for message in sent if partition_of(message.key or b"", PARTITIONS) == 0]
    async with asyncio.timeout(DEADLINE):
        failing = [asyncio.create_task(producer.send(message)) for message in lost]
        for message in sent:
            if message not in lost:
                await producer.send(message)
        assert not any(task.done() for task in failing)
        ended = await asyncio.gather(*failing, return_exceptions=True)
        assert all(isinstance(error, KafkaError) for error in ended)
        assert not producer.ended
        monkeypatch.undo()
        await asyncio.gather(*map(producer.send, lost))


async def test_who_waits_is_told_when_it_is_dropped(
    producer: SharedProducer, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it holds fails at once, and it says that it has ended."""
    monkeypatch.setattr(producer._producer.client.cluster, "leader_for_partition", lambda _place: -1)
    waiting = [asyncio.create_task(producer.send(message)) for message in messages(topic_prefix, 5)]
    await asyncio.sleep(0)
    await producer.drop()
    async with asyncio.timeout(1):
        ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(error, KafkaError) for error in ended)
    assert producer.ended
