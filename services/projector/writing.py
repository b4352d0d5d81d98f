"""The handler that writes one generation, as the live group and a build use it."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from aiokafka import ConsumerRecord, TopicPartition

from eventstore import EventStore
from messaging import Assigned, Committed, Fenced, KafkaConnection, Topics, fetch_topic
from orders import ORDER
from projector.handler import Projector
from projector.projection import Projection
from readmodels import ReadModel
from readmodels.checkpoints import Checkpoints
from runtime import Database, Settings

T = TypeVar("T")

_PLACES = """
SELECT partition, next_offset FROM projections.checkpoints
WHERE read_model = $1 AND generation = $2 AND topic = $3
"""
_STATE = "SELECT state FROM projections.generations WHERE read_model = $1 AND generation = $2"


class Writer:
    """A generation's projector, whose last failure is kept: the consumer only logs it."""

    def __init__(self, settings: Settings, database: Database, generation: ReadModel) -> None:
        self._generation = generation
        self._database = database
        topic = self._topic = Topics(settings.topic_prefix).events
        self._projector = Projector(
            database,
            generation,
            Projection(generation, EventStore(ORDER)),
            Checkpoints(generation.name, generation.generation, topic),
            partial(fetch_topic, KafkaConnection.of(settings), topic),
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
        key = (self._generation.name, self._generation.generation)
        # Only now: a swap from here on fences the epochs just taken.
        if await (await self._database.connection()).fetchval(_STATE, *key) != "live":
            raise Fenced
        return positions


class NextWriter(Writer):
    """Writes a generation that is to be live, for a group that is none of the read model's.

    What that group has committed, now or for an earlier generation, says nothing: the checkpoints do.
    """

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        """Take partitions up, each from its checkpoint."""
        key = (self._generation.name, self._generation.generation, self._topic)
        rows = await (await self._database.connection()).fetch(_PLACES, *key)
        places = {row["partition"]: Committed(row["next_offset"], ours=True) for row in rows}
        return await super().assigned(
            {each: facts._replace(committed=places.get(each.partition)) for each, facts in partitions.items()}
        )

    def acknowledged(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Keep nothing."""
