"""A generation that is not live goes on from its checkpoints, in a group of its own, until it is level."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

from aiokafka import TopicPartition

from commands import ORDERS
from messaging import BatchConsumer, KafkaConnection, TopicReader, fetch_topic, is_without_records
from projector.building.build_lease import BuildLease
from projector.building.record import Step
from projector.writing import NextWriter
from readmodels import ReadModel
from readmodels.assignment import Checkpoint, RebuildNeeded
from readmodels.checkpoints import Checkpoints
from runtime import BY_KEY, Database, Health, Settings, is_passing_fault

# What took no longer than this to catch up with is level: the rest is made up for at the swap.
LEVEL_WITHIN = 2.0
LOOK_INTERVAL = 0.1
# Checkpoints that stand still for so long may have only offsets without records before them.
STILL_FOR = 1.0


class ConsumerEnded(Exception):
    """The consumer of the new generation ended for a reason that may pass."""


class CatchingUp:
    """A consumer at work on a generation beside the live one."""

    def __init__(
        self,
        settings: Settings,
        lease: BuildLease,
        generation: ReadModel,
        consumer: asyncio.Task[int],
        writer: NextWriter,
    ) -> None:
        self._kafka = KafkaConnection.of(settings)
        self._topic = ORDERS.topics(settings.topic_prefix).events
        self._lease = lease
        self._generation = generation.generation
        self._checkpoints = Checkpoints(generation.name, generation.generation, self._topic)
        self._consumer = consumer
        self._writer = writer

    @property
    def ended(self) -> bool:
        """Whether it works no longer."""
        return self._consumer.done()

    def check(self) -> None:
        """Raise what ended the consumer: its handler's failure, or ConsumerEnded where it may pass."""
        if not self._consumer.done():
            return
        self._consumer.result()
        failure = self._writer.failure
        if failure is None or is_passing_fault(failure):
            raise ConsumerEnded
        raise failure

    async def level(self, step: Step) -> None:
        """Wait until the generation keeps up with the topic.

        Raises what `step`, `check` and `check_topic` raise.
        """
        while True:
            await self.check_topic()
            async with TopicReader.open(self._kafka, self._topic) as reader:
                ends = reader.ends
            started = moved = time.monotonic()
            before: dict[int, int] = {}
            while not at_or_past(places := await self.places(), ends):
                self.check()
                await step()
                if places != before:
                    moved, before = time.monotonic(), places
                elif time.monotonic() - moved > STILL_FOR:
                    if await self._has_all(places, ends):
                        break
                    moved = time.monotonic()
                await asyncio.sleep(LOOK_INTERVAL)
            if time.monotonic() - started < LEVEL_WITHIN:
                return

    async def _has_all(self, places: Mapping[int, int], ends: Mapping[int, int]) -> bool:
        """Tell whether no record lies between.

        The marks of senders' transactions, and what they took back, move no checkpoint.
        """
        for number, end in ends.items():
            partition = TopicPartition(self._topic, number)
            if not await is_without_records(self._kafka, partition, places.get(number, 0), end):
                return False
        return True

    async def check_topic(self) -> None:
        """Raise RebuildNeeded when the generation's checkpoints speak of a topic that was deleted since.

        Its offsets would say of the new topic that all of it is there. Raises KafkaError.
        """
        known, now = await self.topic_id(), (await fetch_topic(self._kafka, self._topic)).topic_id
        # Without a checkpoint yet, it goes on as at a first start.
        if known not in {None, now}:
            raise RebuildNeeded(
                f"generation {self._generation} is of a topic that was deleted and made anew"
                f" (its id was {known}, now it is {now})"
            )

    async def places(self) -> dict[int, int]:
        """Return how far the generation has got: partition → next offset."""
        return {number: each.next_offset for number, each in (await self._read()).items()}

    async def epochs(self) -> dict[int, int]:
        """Return partition → epoch: who takes a partition over raises it."""
        return {number: each.epoch for number, each in (await self._read()).items()}

    async def _read(self) -> dict[int, Checkpoint]:
        return await self._checkpoints.read(await self._lease.connection())

    async def topic_id(self) -> UUID | None:
        """Return the id of the topic that the generation's checkpoints speak of."""
        return next((each.topic_id for each in (await self._read()).values()), None)


def at_or_past(places: Mapping[int, int], offsets: Mapping[int, int]) -> bool:
    """Tell whether all partitions are where the offsets are, or further."""
    return all(places.get(partition, -1) >= offset for partition, offset in offsets.items())


@asynccontextmanager
async def catching_up(
    settings: Settings, lease: BuildLease, generation: ReadModel
) -> AsyncIterator[CatchingUp]:
    """Have a consumer bring a generation up to date for as long as the body runs.

    It finds no offset of its group that counts, and a checkpoint: so it goes on from the checkpoint.
    """
    service = f"projector.{generation.name}.next"
    database = Database(settings.database_url, service, server_settings=BY_KEY)
    writer = NextWriter(settings, database, generation)
    topics = ORDERS.topics(settings.topic_prefix)
    consumer = BatchConsumer(
        settings,
        topic=topics.events,
        group=topics.group(service),
        handler=writer,
        # Not the process's own: it is ready while the live generation is kept up to date.
        health=Health(),
    )
    running = asyncio.create_task(consumer.run())
    try:
        yield CatchingUp(settings, lease, generation, running, writer)
    finally:
        consumer.stop()
        try:
            await asyncio.wait({running})
        finally:
            running.cancel()
            await writer.revoked()
            await database.close()
