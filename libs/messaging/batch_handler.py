"""What a service does with the records that a consumer feeds it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from aiokafka import ConsumerRecord, TopicPartition

from messaging.groups import Committed


class Fenced(Exception):
    """Another process has taken over these partitions; nothing of the batch was written."""


class Assigned(NamedTuple):
    """What Kafka knows of a newly assigned partition: the committed offset, the first one and the end."""

    committed: Committed | None
    beginning: int
    end: int


class BatchHandler(Protocol):
    """What a service does with its records."""

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        """Return the offset each newly assigned partition goes on from; it is committed as ours at once.

        The partitions are paused meanwhile, so this may take long; it is cancelled when they are taken away.
        """

    async def handle(
        self, batch: Mapping[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]]
    ) -> Mapping[TopicPartition, int] | None:
        """Handle the records in one database transaction.

        Returns where partitions are held back, if any are: their records from that offset on were not
        handled, and come again a little later, while the other partitions go on.

        When it raises, the same batch comes again, until it succeeds, the partitions are taken away, or the
        retry budget is spent and the process ends.
        """

    def acknowledged(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Learn which offsets Kafka has acknowledged as committed."""

    async def revoked(self) -> None:
        """Forget what is only true while the partitions are ours. No batch is in flight."""
