"""Readiness of a consumer: by what gets done, not by a connection."""

import time
from collections.abc import Mapping, Sequence

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from messaging import Assigned, BatchConsumer
from runtime import Health, Settings

PARTITION = TopicPartition("orders.commands", 0)


class Idle:
    """A handler that is never given anything."""

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def handle(self, batch: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> None: ...

    def acknowledged(self, offsets: Mapping[TopicPartition, int]) -> None: ...

    async def revoked(self) -> None: ...


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
async def consumer(health: Health) -> BatchConsumer:
    """Give a consumer that was never started."""
    return BatchConsumer(Settings(), topic="orders.commands", group="g", handler=Idle(), health=health)


async def test_out_of_the_group_is_not_ready(consumer: BatchConsumer, health: Health) -> None:
    """A member is not ready before its first assignment, nor after a revocation that no new one follows."""
    assert "not in the group g" in health.problems()["consumer"]
    await consumer.on_partitions_assigned([])
    assert health.problems() == {}
    await consumer.on_partitions_revoked([PARTITION])
    assert "not in the group g" in health.problems()["consumer"]


async def test_work_that_waits_without_progress_is_not_ready(consumer: BatchConsumer, health: Health) -> None:
    """With partitions and no progress for longer than allowed, a member is not ready; standing by, it is."""
    await consumer.on_partitions_assigned([])
    consumer._progress._made_at = time.monotonic() - 3600
    assert health.problems() == {}
    consumer._positions[PARTITION] = 7
    assert "no progress on orders.commands for 3600 s" in health.problems()["consumer"]
