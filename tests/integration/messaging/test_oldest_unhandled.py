"""The age of the oldest record that a member of a group has not handled."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from prometheus_client import REGISTRY

from commands import ORDERS
from messaging import KafkaConnection, ensure_topics
from messaging.lag import OldestUnhandled

NOW = 1_700_000_000.0


class Watched:
    """Two partitions of a topic, and what is told of them."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.group = f"g.{topic}"
        self.first, self.second = TopicPartition(topic, 0), TopicPartition(topic, 1)
        self.now = NOW
        self.oldest = OldestUnhandled(KafkaConnection(bootstrap_servers), self.group, lambda: self.now)

    async def send(self, partition: TopicPartition, *seconds_ago: float) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap_servers)
        await producer.start()
        for seconds in seconds_ago:
            await producer.send_and_wait(
                partition.topic,
                b"{}",
                partition=partition.partition,
                timestamp_ms=int((NOW - seconds) * 1000),
            )
        await producer.stop()

    def age(self, partition: TopicPartition) -> float | None:
        labels = {"topic": partition.topic, "group": self.group, "partition": str(partition.partition)}
        return REGISTRY.get_sample_value("tillstream_consumer_oldest_seconds", labels)


@pytest.fixture
async def watched(kafka_server: Any, topic_prefix: str) -> AsyncIterator[Watched]:
    """Give a topic whose records keep the time that they are sent with."""
    topics = ORDERS.topics(topic_prefix)
    await ensure_topics(KafkaConnection(kafka_server.bootstrap_servers), topics, partitions=2)
    made = Watched(kafka_server.bootstrap_servers, topics.events)
    yield made
    await made.oldest.close()


async def test_the_age_is_of_the_oldest_unhandled_record(watched: Watched) -> None:
    """The age is since the record at the place was sent; a partition without one that waits has the age 0."""
    await watched.send(watched.first, 900, 600, 300)
    await watched.oldest.look({watched.first: 1}, [watched.first, watched.second], {})
    assert (watched.age(watched.first), watched.age(watched.second)) == (600, 0)
    await watched.send(watched.second, 50)
    await watched.oldest.look({watched.first: 2, watched.second: 0}, [watched.first, watched.second], {})
    assert (watched.age(watched.first), watched.age(watched.second)) == (300, 50)
    await watched.oldest.look({watched.second: 0}, [watched.first, watched.second], {})
    assert (watched.age(watched.first), watched.age(watched.second)) == (0, 50)


async def test_a_record_behind_one_handled_just_now_is_not_read(watched: Watched) -> None:
    """While records are handled as they come, the oldest one counts as just as old as the last handled."""
    await watched.send(watched.first, 900, 1)
    just_now = {watched.first: int((NOW - 1) * 1000)}
    await watched.oldest.look({watched.first: 0}, [watched.first], just_now)
    assert watched.age(watched.first) == 1
    watched.now += 2
    await watched.oldest.look({watched.first: 0}, [watched.first], just_now)
    assert watched.age(watched.first) == 902


async def test_what_nobody_handles_ages_by_itself(watched: Watched) -> None:
    """An age grows between two looks, and while Kafka can't be asked: it never freezes."""
    await watched.send(watched.first, 900)
    await watched.oldest.look({watched.first: 0}, [watched.first], {})
    watched.now += 100
    assert watched.age(watched.first) == 1000
    gone = OldestUnhandled(KafkaConnection("127.0.0.1:1"), watched.group, lambda: watched.now)
    gone._waiting = watched.oldest._waiting
    await gone.look({watched.first: 1}, [watched.first], {})
    assert watched.age(watched.first) == 1000


async def test_a_partition_that_went_to_another_is_told_no_more(watched: Watched) -> None:
    """Who lost a partition has nothing to say about it."""
    await watched.send(watched.first, 900)
    await watched.oldest.look({watched.first: 0}, [watched.first], {})
    watched.oldest.forget([watched.first])
    assert watched.age(watched.first) is None
