"""A stand-in for the consumer, for what does not depend on Kafka."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aiokafka import ConsumerRecord, TopicPartition

from integration.projector.order_log import OrderLog
from messaging import Assigned, Committed
from projector.handler import Projector


async def all_records(_partition: TopicPartition, _first: int, _end: int) -> bool:
    """Say that an order log has no offsets without records."""
    return False


@dataclass
class Consumer:
    """Feeds a log to a projector with the calls of `messaging.BatchConsumer`, in its order."""

    log: OrderLog
    projector: Projector
    committed: dict[TopicPartition, Committed] = field(default_factory=dict)
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    # What retention took: the first offset that the topic still has, by partition.
    beginnings: dict[TopicPartition, int] = field(default_factory=dict)
    # None: all partitions that there are.
    partitions: frozenset[TopicPartition] | None = None

    def _assigned(self) -> dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]:
        mine = self.log.records if self.partitions is None else self.partitions
        return {partition: self.log.records[partition] for partition in mine}

    async def assign(self) -> Mapping[TopicPartition, int]:
        facts = {
            partition: Assigned(
                self.committed.get(partition), self.beginnings.get(partition, 0), len(records)
            )
            for partition, records in self._assigned().items()
        }
        self.positions = dict(await self.projector.assigned(facts))
        self.commit(self.positions)
        return dict(self.positions)

    async def step(self, at_once: int = 40, *, commit: bool = True) -> bool:
        """Handle one batch; False when there was nothing left."""
        batch = {
            partition: records[self.positions[partition] :][:at_once]
            for partition, records in self._assigned().items()
            if self.positions[partition] < len(records)
        }
        if not batch:
            return False
        await self.projector.handle(batch)
        moved = {partition: records[-1].offset + 1 for partition, records in batch.items()}
        self.positions.update(moved)
        if commit:
            self.commit(moved)
        return True

    async def drain(self, at_once: int = 40) -> None:
        while await self.step(at_once):
            pass

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.committed.update({found: Committed(offset, ours=True) for found, offset in offsets.items()})
        self.projector.acknowledged(offsets)

    def reset(self, partition: TopicPartition, offset: int) -> None:
        """Move the group's offset as Kafka's tools do."""
        self.committed[partition] = Committed(offset, ours=False)


class NewConsumer(Protocol):
    def __call__(
        self,
        log: OrderLog,
        name: str,
        committed: Mapping[TopicPartition, Committed] | None = None,
        *,
        beginnings: Mapping[TopicPartition, int] | None = None,
        partitions: frozenset[TopicPartition] | None = None,
        parked_limit: int = 100,
    ) -> Awaitable[Consumer]: ...
