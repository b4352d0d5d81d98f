"""Following a topic as it grows, outside of any consumer group."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Self
from uuid import UUID

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError, OffsetOutOfRangeError

from messaging.aiokafka_fixes.prefetching import fetch_only_when_empty
from messaging.aiokafka_fixes.stopping import stop_consumer
from messaging.aiokafka_fixes.topic_id import TopicFacts, fetch_topic
from messaging.connection import KafkaConnection
from messaging.refusals import telling_refusals
from messaging.topic_reader import Offsets, numbered
from runtime.retry import Backoff

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT = 15.0
# A partition that Kafka has not answered about for so long is stuck: a fetch waits half a second at most.
STALLED_AFTER = 10.0
# How soon new partitions, and a topic made anew, are noticed.
LOOK_INTERVAL = 5.0
_POLL_MS = 500
_PAGE_RECORDS = 2_000
# Who comes back after longer than this was away, not Kafka.
_AWAY = 1.0
_REST = 0.5


class TopicMadeAnew(Exception):
    """The topic was deleted and made anew under its name: offsets of the old one mean nothing in it."""


class RecordsGone(Exception):
    """The topic lacks the records at an offset: they were deleted, or never there. The text says where."""


class TopicTail:
    """A topic's records from an offset in each partition on, each once, for as long as somebody asks.

    Lost connections and brokers are waited for: it goes on behind the last record that it gave, whatever
    aiokafka's own state. A partition that is added later is read from its beginning.
    """

    def __init__(self, kafka: KafkaConnection, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._consumer: AIOKafkaConsumer | None = None
        self._backoff = Backoff()
        self._look_at = 0.0
        self._asked_at = self._left_at = time.monotonic()
        self._polls: dict[int, int | None] = {}
        self._heard: dict[int, float] = {}
        self.topic_id = UUID(int=0)
        """The id that Kafka gave the topic when it was made."""
        self.positions: dict[int, int] = {}
        """Partition → the offset of the next record to be given."""
        self.ends: dict[int, int] = {}
        """Partition → where it ended when Kafka last answered."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, kafka: KafkaConnection, topic: str, first: Offsets | None = None
    ) -> AsyncIterator[Self]:
        """Open a topic at its ends of now, or at `first`: partitions not named start at their beginning.

        All that is sent after this is given. Raises RecordsGone for an offset that the topic does not have;
        KafkaError: UnknownTopicOrPartitionError where there is no such topic; TimeoutError and OSError.
        """
        tail = cls(kafka, topic)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT), telling_refusals(kafka):
                await tail._begin(first)
            yield tail
        finally:
            await tail._disconnect()

    @property
    def silent_for(self) -> float:
        """Seconds since Kafka last answered about every partition, over however many connections."""
        return time.monotonic() - self._heard_of_all

    async def next_page(self) -> list[ConsumerRecord[bytes, bytes]]:
        """Wait for more records and return them, in order within each partition.

        May be cancelled and called again. Raises TopicMadeAnew and RecordsGone; for all else it tries again.
        """
        if time.monotonic() - self._left_at > _AWAY:
            self._asked_at = time.monotonic()
        try:
            while not (page := await self._poll()):
                pass
            return page
        finally:
            self._left_at = time.monotonic()

    @staticmethod
    async def rest(page: Sequence[object], wanted: asyncio.Event) -> None:
        """Wait for half a second, unless and until records are `wanted`: nobody needs each as it comes.

        Behind a full page there is more, and only others get their turn.
        """
        if len(page) >= _PAGE_RECORDS or wanted.is_set():
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_REST):
                await wanted.wait()

    async def _poll(self) -> list[ConsumerRecord[bytes, bytes]]:
        try:
            consumer = self._consumer or await self._reconnect()
            if time.monotonic() >= self._look_at:
                await self._look(consumer)
            self._check_answers()
            found = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_PAGE_RECORDS)
        except OffsetOutOfRangeError as error:
            raise await self._explained(error) from error
        except (KafkaError, OSError, TimeoutError) as error:
            delay = self._backoff.next_delay()
            log.warning("tail.interrupted", topic=self._topic, error=repr(error), delay=delay)
            await self._disconnect()
            await asyncio.sleep(delay)
            return []
        # From here on nothing is waited for: what was taken from the consumer is given.
        self._listen(consumer, found)
        return [record for records in found.values() for record in records]

    async def _begin(self, first: Offsets | None) -> None:
        facts = await self._facts()
        self.topic_id = facts.topic_id
        consumer = await self._connect(facts.partitions)
        partitions = [TopicPartition(self._topic, number) for number in range(facts.partitions)]
        self.ends = numbered(await consumer.end_offsets(partitions))
        self.positions = dict(self.ends)
        if first is not None:
            beginnings = numbered(await consumer.beginning_offsets(partitions))
            self.positions = beginnings | dict(first)
            for number, offset in self.positions.items():
                if not beginnings.get(number, 0) <= offset <= self.ends.get(number, -1):
                    raise RecordsGone(f"{self._topic} has no offset {offset} in partition {number}")
        self._resume(consumer)

    async def _facts(self) -> TopicFacts:
        self._look_at = time.monotonic() + LOOK_INTERVAL
        return await fetch_topic(self._kafka, self._topic)

    async def _connect(self, partitions: int) -> AIOKafkaConsumer:
        """Return a consumer of so many partitions, paused."""
        consumer = self._kafka.consumer(auto_offset_reset="none")
        try:
            await consumer.start()
        except BaseException:
            await stop_consumer(consumer)
            raise
        fetch_only_when_empty(consumer)
        self._consumer = consumer
        self._assign(consumer, partitions)
        return consumer

    def _assign(self, consumer: AIOKafkaConsumer, partitions: int) -> None:
        assigned = [TopicPartition(self._topic, number) for number in range(partitions)]
        consumer.assign(assigned)
        consumer.pause(*assigned)
        for partition in assigned:
            # A partition without a position is an error to a consumer that may not choose one.
            consumer.seek(partition, 0)

    def _resume(self, consumer: AIOKafkaConsumer) -> None:
        for number, offset in self.positions.items():
            partition = TopicPartition(self._topic, number)
            consumer.seek(partition, offset)
            consumer.resume(partition)
        self._polls = {}
        self._asked_at = time.monotonic()
        self._heard = dict.fromkeys(self.positions, self._asked_at) | self._heard

    async def _reconnect(self) -> AIOKafkaConsumer:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            facts = await self._facts()
            self._check(facts)
            consumer = await self._connect(len(self.positions))
        self._resume(consumer)
        return consumer

    async def _look(self, consumer: AIOKafkaConsumer) -> None:
        """Notice a topic made anew, and partitions that were added."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                facts = await self._facts()
        except (KafkaError, OSError, TimeoutError) as error:
            # Whether records still come is seen by themselves.
            log.warning("tail.not_looked", topic=self._topic, error=repr(error))
            return
        self._check(facts)
        if facts.partitions > len(self.positions):
            log.info("tail.partitions_added", topic=self._topic, partitions=facts.partitions)
            for number in range(len(self.positions), facts.partitions):
                self.positions[number] = self.ends[number] = 0
            self._assign(consumer, facts.partitions)
            self._resume(consumer)

    @property
    def _heard_of_all(self) -> float:
        return min(self._heard.values(), default=self._asked_at)

    def _check_answers(self) -> None:
        """Raise KafkaTimeoutError where this connection brings nothing of a partition, whatever of others."""
        if time.monotonic() - max(self._heard_of_all, self._asked_at) > STALLED_AFTER:
            raise KafkaTimeoutError(f"no answer about {self._topic} for {STALLED_AFTER:.0f} s")

    def _check(self, facts: TopicFacts) -> None:
        if facts.topic_id != self.topic_id:
            raise TopicMadeAnew(f"{self._topic} was deleted and made anew")

    def _listen(
        self,
        consumer: AIOKafkaConsumer,
        found: Mapping[TopicPartition, list[ConsumerRecord[bytes, bytes]]],
    ) -> None:
        """Keep what Kafka's answers say."""
        now = time.monotonic()
        # Records that wait for their turn behind other partitions' keep theirs from being asked for more.
        answered = found.keys() | consumer._fetcher._records.keys()  # noqa: SLF001 - told nowhere else
        for number in self.positions:
            partition = TopicPartition(self._topic, number)
            polled = consumer.last_poll_timestamp(partition)
            if polled != self._polls.get(number) or partition in answered:
                self._polls[number], self._heard[number] = polled, now
                self.ends[number] = max(self.positions[number], consumer.last_stable_offset(partition) or 0)
            if records := found.get(partition):
                self.positions[number] = records[-1].offset + 1
                self.ends[number] = max(self.ends[number], self.positions[number])
        self._backoff.reset()

    async def _explained(self, error: OffsetOutOfRangeError) -> Exception:
        """Return what it means that an offset is not there."""
        await self._disconnect()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                self._check(await self._facts())
        except TopicMadeAnew as made_anew:
            return made_anew
        except (KafkaError, OSError, TimeoutError) as unknown:
            log.warning("tail.topic_unknown", topic=self._topic, error=repr(unknown))
        return RecordsGone(f"{self._topic} does not have {error.args[0]}")

    async def _disconnect(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stop_consumer(consumer)
