"""Consumers of ours that end, however aiokafka takes it, on a real Kafka."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher

from commands import ORDERS
from messaging import KafkaConnection, TopicReader, TopicTail, ensure_topics, read_again
from messaging.aiokafka_fixes import stopping


@asynccontextmanager
async def reading_again(kafka: KafkaConnection, topic: str) -> AsyncIterator[None]:
    """Read the first record once more."""
    await read_again(kafka, TopicPartition(topic, 0), 0, 1, lambda _record: None)
    yield


async def cancelled(_fetcher: Any) -> None:
    """End as the fetcher does when a fetch that it waits for was cancelled."""
    raise asyncio.CancelledError


async def hanging(_fetcher: Any) -> None:
    """Wait for a fetch that never ends."""
    await asyncio.Event().wait()


@pytest.mark.parametrize("opened", [TopicTail.open, TopicReader.open, reading_again])
@pytest.mark.parametrize("close", [cancelled, hanging])
async def test_a_consumer_is_stopped_whatever_aiokafka_makes_of_it(
    kafka_server: Any, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, opened: Any, close: Any
) -> None:
    """A stop that hangs, or ends as if we were cancelled, is not ours: it ends, and no connection is left."""
    consumers: list[AIOKafkaConsumer] = []
    start = AIOKafkaConsumer.start

    async def noted(consumer: AIOKafkaConsumer) -> None:
        consumers.append(consumer)
        await start(consumer)

    kafka, topics = KafkaConnection(kafka_server.bootstrap_servers), ORDERS.topics(topic_prefix)
    await ensure_topics(kafka, topics, partitions=1)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        await producer.send_and_wait(topics.events, b"{}", partition=0)
    monkeypatch.setattr(stopping, "STOP_TIMEOUT", 0.2)
    monkeypatch.setattr(AIOKafkaConsumer, "start", noted)
    whole_close = Fetcher.close
    monkeypatch.setattr(Fetcher, "close", close)
    async with opened(kafka, topics.events):
        pass
    (consumer,) = consumers
    assert not [each for each in consumer._client._conns.values() if each.connected()]
    with suppress(asyncio.CancelledError):
        await whole_close(consumer._fetcher)
