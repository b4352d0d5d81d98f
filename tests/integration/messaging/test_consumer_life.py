"""How a consumer ends: told to stop, displaced by another, or without a word of what went wrong."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
import structlog
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition

from commands import ORDERS
from harness.waiting import eventually
from messaging import (
    Assigned,
    BatchConsumer,
    Committed,
    Fenced,
    KafkaConnection,
    Unrecoverable,
    committed_offsets,
    ensure_topics,
    group_members,
)
from runtime import EXIT_FATAL, Health, Settings


class Failing:
    """A handler that raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.attempts = 0

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        return {partition: facts.beginning for partition, facts in partitions.items()}

    async def handle(self, _batch: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> None:
        self.attempts += 1
        raise self.error

    def acknowledged(self, offsets: Mapping[TopicPartition, int]) -> None: ...

    async def revoked(self) -> None: ...


def consumer(settings: Settings, handler: Failing) -> BatchConsumer:
    topics = ORDERS.topics(settings.topic_prefix)
    return BatchConsumer(
        settings, topic=topics.commands, group=topics.group("life"), handler=handler, health=Health()
    )


@pytest.fixture
async def waiting(kafka_server: Any, topic_prefix: str) -> Settings:
    """Give the settings of a topic with one record."""
    kafka, topics = KafkaConnection(kafka_server.bootstrap_servers), ORDERS.topics(topic_prefix)
    await ensure_topics(kafka, topics, partitions=1)
    producer = AIOKafkaProducer(bootstrap_servers=kafka_server.bootstrap_servers)
    await producer.start()
    await producer.send_and_wait(topics.commands, b"1")
    await producer.stop()
    return Settings(
        kafka_bootstrap_servers=kafka_server.bootstrap_servers, topic_prefix=topic_prefix, retry_budget=1.0
    )


@pytest.fixture
async def silent() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Give the address of a server that never answers, and what tells that a client has come."""
    came = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    yield f"{host}:{port}", came
    server.close()


async def test_a_stop_before_the_start_has_finished_ends_cleanly(silent: tuple[str, asyncio.Event]) -> None:
    """Told to stop while Kafka has not yet answered, a consumer gives up its start and ends with 0."""
    address, came = silent
    starting = consumer(Settings(kafka_bootstrap_servers=address), Failing(AssertionError()))
    running = asyncio.create_task(starting.run())
    await asyncio.wait_for(came.wait(), 30)
    starting.stop()
    assert await asyncio.wait_for(running, 30) == 0


async def test_kafka_that_is_not_there_yet_is_waited_for(waiting: Settings) -> None:
    """A consumer started before Kafka says so in its readiness, tries again, and then begins its work."""
    health, handler = Health(), Failing(Unrecoverable("came"))
    topics = ORDERS.topics(waiting.topic_prefix)
    host, kafka_port = waiting.kafka_bootstrap_servers.split(":")
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    late = waiting.model_copy(update={"kafka_bootstrap_servers": f"127.0.0.1:{port}", "retry_budget": 60.0})
    starting = BatchConsumer(
        late, topic=topics.commands, group=topics.group("life"), handler=handler, health=health
    )
    running = asyncio.create_task(starting.run())

    async def told() -> bool:
        assert not running.done(), running.exception()
        return "KafkaConnectionError" in health.problems().get("start", "")

    await eventually(told)
    # Who comes is told Kafka's own address.
    front = await asyncio.start_server(partial(pass_on, host, kafka_port), "127.0.0.1", port)
    try:
        assert await asyncio.wait_for(running, 60) == EXIT_FATAL
    finally:
        front.close()
    assert handler.attempts == 1
    assert "start" not in health.problems()


async def pass_on(host: str, port: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry what a client says to a server, and back."""
    from_server, to_server = await asyncio.open_connection(host, int(port))

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
        target.close()

    await asyncio.gather(carry(reader, to_server), carry(from_server, writer))


async def test_who_is_fenced_leaves_the_group_and_ends_with_0(waiting: Settings) -> None:
    """A handler that finds itself displaced ends the run: nothing committed, no member left, no failure."""
    handler = Failing(Fenced())
    assert await asyncio.wait_for(consumer(waiting, handler).run(), 60) == 0
    assert handler.attempts == 1
    kafka, topics = KafkaConnection.of(waiting), ORDERS.topics(waiting.topic_prefix)
    partition = TopicPartition(topics.commands, 0)
    assert await group_members(kafka, topics.group("life")) == []
    committed = await committed_offsets(kafka, topics.group("life"), [partition])
    assert committed == {partition: Committed(0, ours=True)}


async def test_an_error_without_words_is_named_all_the_same(waiting: Settings) -> None:
    """What a consumer gives up by is never an empty reason: an exception without a text gives its name."""
    with structlog.testing.capture_logs() as logs:
        assert await asyncio.wait_for(consumer(waiting, Failing(TimeoutError())).run(), 60) == EXIT_FATAL
    (told,) = [line for line in logs if line["log_level"] == "error"]
    assert (told["event"], told["reason"]) == ("consumer.batch_failed", "TimeoutError()")
