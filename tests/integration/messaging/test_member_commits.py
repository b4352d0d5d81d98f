"""What a consumer that was expelled from its group may still commit."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError
from aiokafka.structs import OffsetAndMetadata

from commands import ORDERS
from harness.groups import expel, rewind
from harness.waiting import eventually
from messaging import Committed, KafkaConnection, committed_offsets, ensure_topics
from messaging.groups import MARKER


class Busy(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """A member that has a batch in hand when its partitions are taken away."""

    def __init__(self) -> None:
        self.done = asyncio.Event()

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        if revoked:
            await self.done.wait()

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None: ...


async def test_an_expelled_members_commit_leaves_an_operators_reset_alone(
    kafka_server: Any, topic_prefix: str
) -> None:
    """Expelled in mid-batch, its group empty and reset by an operator: its commit fails, the reset stands."""
    kafka, topics = KafkaConnection(kafka_server.bootstrap_servers), ORDERS.topics(topic_prefix)
    await ensure_topics(kafka, topics, partitions=1)
    group, partition, busy = topics.group("expelled"), TopicPartition(topics.commands, 0), Busy()
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka_server.bootstrap_servers,
        group_id=group,
        enable_auto_commit=False,
        heartbeat_interval_ms=100,
    ) as member:
        member.subscribe([topics.commands], listener=busy)

        async def joined() -> bool:
            return bool(member.assignment())

        async def noticed() -> bool:
            return bool(member._coordinator.generation == -1)

        await eventually(joined)
        await member.commit({partition: OffsetAndMetadata(7, MARKER)})
        assert await expel(kafka_server.bootstrap_servers, group) == 1
        await eventually(noticed)
        await rewind(kafka_server.bootstrap_servers, group, topics.commands)
        try:
            with pytest.raises(CommitFailedError):
                await member.commit({partition: OffsetAndMetadata(9, MARKER)})
            found = await committed_offsets(kafka, group, [partition])
        finally:
            busy.done.set()
    assert found == {partition: Committed(0, ours=False)}
