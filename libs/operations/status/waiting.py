"""How many commands wait to be handled, and since when: also while no command service runs."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import NamedTuple, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from commands import Context
from messaging import KafkaConnection, fetch_topic, stop_consumer
from operations.groups import wait_for_committed

# One record of a partition is enough: the oldest.
_FETCH_BYTES = 64 * 1024


class Waiting(NamedTuple):
    """Commands of one partition from `place` on, and seconds since the oldest came to Kafka.

    `held_at` is the offset of a transaction that its sender has not ended: what lies behind it can't be
    handled before.
    """

    place: int
    records: int = 0
    oldest_seconds: float = 0.0
    held_at: int | None = None


class OpenTransaction(NamedTuple):
    """A transaction that its sender has not ended holds a partition at this offset: nobody reads further.

    `records` were written from there on, the first of them so many seconds ago.
    """

    at: int
    records: int
    seconds: float


class WaitingReader:
    """Looks again and again, over connections of its own; to be used as a context manager."""

    def __init__(self, kafka: KafkaConnection, prefix: str) -> None:
        self._kafka = kafka
        self._prefix = prefix
        # What can be handled, and what was written: an open transaction lies between the two.
        self._committed = kafka.consumer(max_partition_fetch_bytes=_FETCH_BYTES, auto_offset_reset="earliest")
        self._written = kafka.consumer(
            max_partition_fetch_bytes=_FETCH_BYTES,
            auto_offset_reset="earliest",
            isolation_level="read_uncommitted",
        )
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connect. Raises KafkaError."""
        for consumer in (self._committed, self._written):
            self._stack.push_async_callback(stop_consumer, consumer)
            await consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def read(self, context: Context[object]) -> Mapping[int, Waiting]:
        """Return partition → what waits of the context's commands. Raises KafkaError."""
        topics = context.topics(self._prefix)
        found = await fetch_topic(self._kafka, topics.commands)
        partitions = [TopicPartition(topics.commands, number) for number in range(found.partitions)]
        group = topics.group(context.command_group)
        committed = await wait_for_committed(self._kafka, group, partitions)
        beginnings = await self._committed.beginning_offsets(partitions)
        written = await self.written_ends(partitions)
        readable = await self._committed.end_offsets(partitions)
        places = {
            p: max(beginning, committed[p].offset if p in committed else 0)
            for p, beginning in beginnings.items()
        }
        # Where there is nothing but the marks of transactions, nothing waits.
        oldest = await _first_records(self._committed, places, readable)
        ends = {p: readable[p] for p in partitions if p not in oldest and written[p] > readable[p]}
        held = await _first_records(self._written, ends, written)
        now = datetime.now(UTC).timestamp()
        waiting = {}
        for p, place in places.items():
            at, timestamp = oldest.get(p) or held.get(p) or (place, None)
            waiting[p.partition] = (
                Waiting(place)
                if timestamp is None
                else Waiting(
                    at, written[p] - at, max(0.0, now - timestamp), readable[p] if p in held else None
                )
            )
        return waiting

    async def written_ends(self, partitions: list[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return where partitions end, with what nobody can read yet.

        To be asked before what can be read: else what came in between looks like an open transaction.
        """
        ends: Mapping[TopicPartition, int] = await self._written.end_offsets(partitions)
        return ends

    async def open_transactions(
        self, readable: Mapping[TopicPartition, int], written: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, OpenTransaction]:
        """Return what holds partitions, from where they end for readers and as a whole; most have nothing."""
        first = await _first_records(self._written, readable, written)
        now = datetime.now(UTC).timestamp()
        return {
            p: OpenTransaction(readable[p], written[p] - readable[p], max(0.0, now - timestamp))
            for p, (_, timestamp) in first.items()
        }


async def _first_records(
    consumer: AIOKafkaConsumer, places: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, tuple[int, float]]:
    """Return the offset and the time of the first record from each place on, where there is one."""
    left = {p for p, place in places.items() if place < ends[p]}
    found: dict[TopicPartition, tuple[int, float]] = {}
    if left:
        consumer.assign(list(left))
        for partition in left:
            consumer.seek(partition, places[partition])
    while left:
        for partition, records in (await consumer.getmany(*left, timeout_ms=200, max_records=100)).items():
            found[partition] = (records[0].offset, records[0].timestamp / 1000)
        left -= found.keys()
        left = {p for p in left if await consumer.position(p) < ends[p]}
    return found
