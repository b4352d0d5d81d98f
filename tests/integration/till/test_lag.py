"""How far read models are behind, by what their groups have committed."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from integration.till.conftest import Till
from messaging import KafkaConnection, Topics, ensure_topics, event_headers
from till.errors import NotUpError, TillError


class EventTopic:
    """The topic of events of one test, and the groups that read it."""

    def __init__(self, bootstrap_servers: str, prefix: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.topics = Topics(prefix)
        asyncio.run(ensure_topics(KafkaConnection(bootstrap_servers), self.topics, partitions=2))

    def send(self, partition: int, *seconds_ago: float) -> None:
        """Put events on a partition that were recorded so long ago."""

        async def send() -> None:
            producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap_servers)
            await producer.start()
            for seconds in seconds_ago:
                await producer.send_and_wait(
                    self.topics.events, b"{}", partition=partition, headers=headers(seconds)
                )
            await producer.stop()

        asyncio.run(send())

    def commit(self, read_model: str, offsets: Mapping[int, int]) -> None:
        """Commit offsets by partition for the group of a read model."""

        async def commit() -> None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.bootstrap_servers,
                group_id=self.topics.group(f"projector.{read_model}"),
                enable_auto_commit=False,
            )
            await consumer.start()
            partitions = {TopicPartition(self.topics.events, each): at for each, at in offsets.items()}
            consumer.assign(list(partitions))
            await consumer.commit({each: OffsetAndMetadata(at, "") for each, at in partitions.items()})
            await consumer.stop()

        asyncio.run(commit())


def headers(seconds_ago: float) -> list[tuple[str, bytes]]:
    recorded_at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return event_headers(
        event_id=str(uuid4()),
        event_type="OrderConfirmed",
        order_id=str(uuid4()),
        tenant_id="store-1",
        actor="anna",
        version=1,
        schema_version=1,
        occurred_at=recorded_at,
        recorded_at=recorded_at,
        correlation_id="c",
        causation_id=str(uuid4()),
        metadata={},
    )


@pytest.fixture
def events(kafka_server: Any, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> EventTopic:
    """Give the topic of this test's installation."""
    monkeypatch.setenv("TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS", kafka_server.bootstrap_servers)
    monkeypatch.setenv("TILLSTREAM_TOPIC_PREFIX", topic_prefix)
    return EventTopic(kafka_server.bootstrap_servers, topic_prefix)


def test_lag_counts_what_no_projector_has_committed(till: Till, events: EventTopic) -> None:
    """Records are those at or past the committed offsets; the oldest one's age is since it was recorded."""
    events.send(0, 900.0, 600.0, 300.0)
    events.send(1, 500.0)
    events.commit("order_summary", {0: 2, 1: 0})
    events.commit("sales", {0: 3, 1: 1})
    lag = till("lag")
    assert lag["sales"] == {"records": 0, "oldest_seconds": 0}
    assert lag["order_summary"]["records"] == 2
    assert 500 <= lag["order_summary"]["oldest_seconds"] < 600


def test_a_stopped_projector_has_everything_before_it(till: Till, events: EventTopic) -> None:
    """A group that never committed lags by the whole topic; an empty topic is no lag."""
    assert {lag["records"] for lag in till("lag").values()} == {0}
    events.send(1, 900.0, 10.0)
    lag = till("lag")["sales"]
    assert lag["records"] == 2
    assert 900 <= lag["oldest_seconds"] < 1200


@pytest.mark.usefixtures("events")
def test_lag_says_that_the_topic_is_missing(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the topic of events there is no lag to tell but an error, with what makes the topic."""
    monkeypatch.setenv("TILLSTREAM_TOPIC_PREFIX", f"t{uuid4().hex}.")
    with pytest.raises(TillError, match="has no topic"):
        till("lag")


def test_lag_says_that_kafka_is_down(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Kafka lag ends with an error that says how to start everything."""
    monkeypatch.setenv("TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(NotUpError, match=r"127\.0\.0\.1:1"):
        till("lag")
