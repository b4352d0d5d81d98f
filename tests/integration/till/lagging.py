"""A topic of events and the projectors' tables, as a test of `till lag` fills them."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from commands import ORDERS
from messaging import KafkaConnection, ensure_topics, event_headers, fetch_topic_id
from messaging.groups import MARKER


class EventTopic:
    """The topic of events of one test, and the groups that read it."""

    def __init__(self, bootstrap_servers: str, prefix: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.topics = ORDERS.topics(prefix)
        kafka = KafkaConnection(bootstrap_servers)
        asyncio.run(ensure_topics(kafka, self.topics, partitions=2))
        self.topic_id = asyncio.run(fetch_topic_id(kafka, self.topics.events))

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

    def commit_commands(self, offsets: Mapping[int, int]) -> None:
        """Commit offsets by partition for the group of the command services."""
        self._commit(self.topics.group("command_service"), self.topics.commands, offsets, MARKER)

    def commit(self, read_model: str, offsets: Mapping[int, int], metadata: str) -> None:
        """Commit offsets by partition for the group of a read model."""
        self._commit(self.topics.group(f"projector.{read_model}"), self.topics.events, offsets, metadata)

    def _commit(self, group: str, topic: str, offsets: Mapping[int, int], metadata: str) -> None:
        async def commit() -> None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.bootstrap_servers, group_id=group, enable_auto_commit=False
            )
            await consumer.start()
            partitions = {TopicPartition(topic, each): at for each, at in offsets.items()}
            consumer.assign(list(partitions))
            await consumer.commit({each: OffsetAndMetadata(at, metadata) for each, at in partitions.items()})
            await consumer.stop()

        asyncio.run(commit())


def headers(seconds_ago: float) -> list[tuple[str, bytes]]:
    recorded_at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return event_headers(
        event_id=str(uuid4()),
        message_type="orders.OrderConfirmed",
        aggregate_id=str(uuid4()),
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


class Bookkeeping:
    """The projectors' tables, as a test fills them."""

    def __init__(self, dsn: str, topic: str, topic_id: UUID) -> None:
        self.dsn = dsn
        self.topic = topic
        self.topic_id = topic_id

    def execute(self, statement: str, *arguments: Any) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(self.dsn)
            await connection.execute(statement, *arguments)
            await connection.close()

        asyncio.run(execute())

    def live(self, read_model: str, generation: int = 1) -> None:
        """Make a generation the live one."""
        self.execute(
            "UPDATE projections.generations SET state = 'previous' WHERE read_model = $1", read_model
        )
        self.execute(
            "INSERT INTO projections.generations (read_model, generation, state, version) "
            "VALUES ($1, $2, 'live', 1)",
            read_model,
            generation,
        )

    def checkpoint(
        self, read_model: str, partition: int, at: int, *, generation: int = 1, until: int | None = None
    ) -> None:
        """Put a generation's checkpoint of a partition at an offset."""
        self.execute(
            "INSERT INTO projections.checkpoints (read_model, topic, topic_id, epoch, refolding, partition, "
            "next_offset, generation, replay_until) VALUES ($1, $2, $3, 1, false, $4, $5, $6, $7)",
            read_model,
            self.topic,
            self.topic_id,
            partition,
            at,
            generation,
            until,
        )
