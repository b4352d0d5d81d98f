"""The handler that writes one generation, as the live group and a build use it."""

from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from aiokafka import ConsumerRecord, TopicPartition

from commands import ORDERS
from eventstore import EventStore
from messaging import Assigned, Committed, Fenced, KafkaConnection, fetch_topic, is_without_records
from orders import ORDER
from projector.handler import Projector
from projector.projection import Projection
from readmodels import ReadModel
from readmodels.checkpoints import Checkpoints
from readmodels.generations import live_generations
from runtime import Database, Settings

T = TypeVar("T")


class Writer:
    """A generation's projector, whose last failure is kept: the consumer only logs it."""

    def __init__(self, settings: Settings, database: Database, generation: ReadModel) -> None:
        self._generation = generation
        self._database = database
        kafka, topic = KafkaConnection.of(settings), ORDERS.topics(settings.topic_prefix).events
        self._checkpoints = Checkpoints(generation.name, generation.generation, topic)
        self._projector = Projector(
            database,
            generation,
            Projection(generation, EventStore(ORDER)),
            self._checkpoints,
            partial(fetch_topic, kafka, topic),
            is_without_records=partial(is_without_records, kafka),
            parked_limit=settings.parked_limit,
        )
        self.failure: Exception | None = None

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        """Take partitions up."""
        return await self._witness(self._projector.assigned(partitions))

    async def handle(self, batch: Mapping[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]]) -> None:
        """Apply records."""
        await self._witness(self._projector.handle(batch))

    def acknowledged(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Learn what Kafka has committed."""
        self._projector.acknowledged(offsets)

    async def revoked(self) -> None:
        """Give partitions back."""
        await self._projector.revoked()

    async def _witness(self, work: Awaitable[T]) -> T:
        try:
            result = await work
        except Exception as error:
            self.failure = error
            raise
        self.failure = None
        return result


class LiveWriter(Writer):
    """Writes the live generation, for the read model's own group."""

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        """Take partitions up; raises Fenced when the generation was swapped out before."""
        positions = await super().assigned(partitions)
        # Only now: a swap from here on fences the epochs just taken.
        live = (await live_generations(await self._database.connection())).get(self._generation.name)
        if live is None or live.generation != self._generation.generation:
            raise Fenced
        return positions


class NextWriter(Writer):
    """Writes a generation that is to be live, for a group that is none of the read model's.

    What that group has committed, now or for an earlier generation, says nothing: the checkpoints do.
    """

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        """Take partitions up, each from its checkpoint."""
        found = await self._checkpoints.read(await self._database.connection())
        places = {number: Committed(each.next_offset, ours=True) for number, each in found.items()}
        return await super().assigned(
            {each: facts._replace(committed=places.get(each.partition)) for each, facts in partitions.items()}
        )

    def acknowledged(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Keep nothing."""
