"""When dead letters are too many, without a topic."""

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from command_service.dead_letter_limit import WINDOW, DeadLetterLimit
from commands import Record
from messaging import Unrecoverable


def letters(*offsets: int, partition: int = 0) -> list[tuple[Record, str]]:
    return [
        (
            ConsumerRecord("orders.commands", partition, offset, 0, 0, None, b"", None, 0, 0, ()),
            "id: is required",
        )
        for offset in offsets
    ]


class Before:
    """The dead letters that are on the topic already."""

    def __init__(self, *offsets: int) -> None:
        self.offsets = set(offsets)
        self.asked: list[tuple[int, int, int]] = []

    async def __call__(self, partition: TopicPartition, first: int, end: int) -> set[int]:
        self.asked.append((partition.partition, first, end))
        return {offset for offset in self.offsets if first <= offset < end}


async def test_the_limit_is_per_partition_and_exact() -> None:
    """As many dead letters as the limit pass on each partition, one more stops with where and why."""
    limit = DeadLetterLimit(3, Before())
    await limit.check(letters(10, 20, 30) + letters(10, 20, 30, partition=1))
    with pytest.raises(Unrecoverable) as refused:
        await limit.check(letters(40))
    assert str(refused.value).startswith(
        "4 of the last 1,000 records up to orders.commands/0/40 are dead letters, more than "
        "TILLSTREAM_DEAD_LETTER_LIMIT (3) allows; this one: id: is required."
    )


async def test_old_dead_letters_no_longer_count() -> None:
    """Dead letters that are rare enough never stop the service, however many there are in all."""
    limit = DeadLetterLimit(2, Before())
    for number in range(50):
        await limit.check(letters(number * (WINDOW // 2)))
    with pytest.raises(Unrecoverable):
        await limit.check(letters(49 * (WINDOW // 2) + 1))


async def test_a_batch_that_comes_again_counts_once() -> None:
    """A batch that failed for another reason and is tried again does not reach the limit by that."""
    limit = DeadLetterLimit(3, Before())
    for _ in range(5):
        await limit.check(letters(10, 20, 30))


async def test_what_came_before_the_start_counts() -> None:
    """The records before the first dead letter are read once, and the dead ones among them count."""
    before = Before(1, 4_001, 4_500, 4_999)
    limit = DeadLetterLimit(4, before)
    await limit.check(letters(5_000))
    assert before.asked == [(0, 4_001, 5_000)]
    with pytest.raises(Unrecoverable):
        await DeadLetterLimit(3, before).check(letters(5_000))
    await limit.check(letters(5_001))
    assert len(before.asked) == 2
    with pytest.raises(Unrecoverable):
        await limit.check(letters(5_002))


async def test_a_new_assignment_looks_back_anew() -> None:
    """What another member may have handled meanwhile is counted after the partitions have moved."""
    before = Before()
    limit = DeadLetterLimit(1, before)
    await limit.check(letters(10))
    limit.forget()
    before.offsets = {10, 11, 12}
    with pytest.raises(Unrecoverable):
        await limit.check(letters(13))


async def test_a_limit_of_none_stops_at_the_first() -> None:
    """With a limit of 0 no dead letter is ever made."""
    with pytest.raises(Unrecoverable):
        await DeadLetterLimit(0, Before()).check(letters(0))


async def test_a_limit_as_large_as_the_window_is_none() -> None:
    """Where no number of dead letters can be too many, nothing is read again to count them."""
    before = Before(*range(WINDOW))
    await DeadLetterLimit(WINDOW, before).check(letters(*range(WINDOW, 2 * WINDOW)))
    assert before.asked == []
