"""What one batch takes of what aiokafka holds, without a broker."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import CorruptRecordException, OffsetOutOfRangeError

from messaging import Unrecoverable
from messaging.fetching import BATCH_BYTES, Fetched, fetch_batch

PARTITIONS = [TopicPartition("orders.commands", number) for number in range(4)]


class Held:
    """What a consumer holds of each partition, given out as aiokafka does."""

    def __init__(self, records: Mapping[TopicPartition, list[Any]]) -> None:
        self.records = {partition: list(each) for partition, each in records.items()}
        self._fetcher = self
        self._records: dict[TopicPartition, Any] = {}

    def assignment(self) -> set[TopicPartition]:
        return set(PARTITIONS)

    async def get_many(self, *partitions: TopicPartition, timeout_ms: int, max_records: int) -> Fetched:
        assert timeout_ms or partitions
        found: Fetched = {}
        for partition in partitions or self.records:
            left = self.records.get(partition, [])
            while left and max_records:
                each = left.pop(0)
                if isinstance(each, Exception):
                    raise each
                found.setdefault(partition, []).append(each)
                max_records -= 1
        return found

    async def fetch(self, max_records: int = 500) -> dict[int, list[int]]:
        """Give the offsets of the next batch, by partition."""
        fetched = await fetch_batch(self, self.get_many, timeout_ms=20, max_records=max_records)
        return {
            partition.partition: [record.offset for record in records]
            for partition, records in fetched.items()
        }


def records(partition: TopicPartition, count: int, size: int = 0, header: bytes = b"") -> list[Any]:
    return [
        ConsumerRecord(*partition, offset, 0, 0, None, None, None, -1, size, (("h", header),))
        for offset in range(count)
    ]


async def test_a_batch_is_bounded_by_its_number_of_records() -> None:
    """No more than `max_records` come, in order; the rest comes with the next batches, none twice."""
    held = Held({partition: records(partition, 3) for partition in PARTITIONS})
    seen: dict[int, list[int]] = {}
    for _ in range(3):
        fetched = await held.fetch(max_records=5)
        assert sum(map(len, fetched.values())) <= 5
        for partition, offsets in fetched.items():
            seen.setdefault(partition, []).extend(offsets)
    assert seen == {number: [0, 1, 2] for number in range(4)}
    assert await held.fetch() == {}


@pytest.mark.parametrize(("size", "header"), [(700_000, b""), (0, b"x" * 700_000)], ids=["values", "headers"])
async def test_a_batch_is_bounded_by_its_bytes(size: int, header: bytes) -> None:
    """Once a batch holds its share of bytes, values or headers, no further partition is taken from."""
    held = Held({partition: records(partition, 2, size, header) for partition in PARTITIONS})
    counts = [sum(map(len, (await held.fetch()).values())) for _ in range(2)]
    assert counts == [4, 4]
    assert 3 * 700_000 > BATCH_BYTES > 2 * 700_000


async def test_others_run_while_a_batch_is_fetched() -> None:
    """Between two partitions the loop runs, so that heartbeats can go out."""
    held = Held({partition: records(partition, 1) for partition in PARTITIONS})
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await held.fetch()
    task.cancel()
    assert turns >= len(PARTITIONS)


async def test_an_error_of_one_partition_loses_no_records_of_another() -> None:
    """What was fetched before Kafka's error is handed out; alone, the error is raised."""
    first, second, *_ = PARTITIONS
    held = Held({first: records(first, 3), second: [OffsetOutOfRangeError(), OffsetOutOfRangeError()]})
    assert await held.fetch() == {0: [0, 1, 2]}
    with pytest.raises(OffsetOutOfRangeError):
        await held.fetch()


@pytest.mark.parametrize("error", [CorruptRecordException("Invalid CRC"), ValueError("not gzip")])
async def test_a_batch_that_cannot_be_taken_apart_ends_the_consumer(error: Exception) -> None:
    """What is corrupt is neither skipped nor tried for ever, whatever was fetched before it."""
    first, second, *_ = PARTITIONS
    with pytest.raises(Unrecoverable, match=f"can't be read: .*{error.args[0]}"):
        await Held({first: records(first, 3), second: [error]}).fetch()
