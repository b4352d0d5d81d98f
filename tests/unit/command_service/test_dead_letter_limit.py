"""When dead letters are too many and whose they are, without a topic."""

from collections.abc import Mapping

from aiokafka import ConsumerRecord, TopicPartition

from command_service.dead_letter_limit import WINDOW, DeadLetterLimit
from commands import NO_SOURCE, Record

TILL, OTHER = "/till/7", "/till/8"


def letter(offset: int, partition: int = 0) -> Record:
    return ConsumerRecord("orders.commands", partition, offset, 0, 0, None, b"", None, 0, 0, ())


class Before:
    """The dead letters that are on the topic already, by offset."""

    def __init__(self, found: Mapping[int, str] | None = None) -> None:
        self.found = dict(found or {})
        self.asked: list[tuple[int, int, int]] = []

    async def __call__(self, partition: TopicPartition, first: int, end: int) -> Mapping[int, str]:
        self.asked.append((partition.partition, first, end))
        return {offset: source for offset, source in self.found.items() if first <= offset < end}


class Counting:
    """A limit, and what it says of dead letters that come one after another."""

    def __init__(self, limit: int, before: Before | None = None) -> None:
        self.limit = DeadLetterLimit(limit, before or Before())
        self.settled: set[str | None] = set()

    async def see(self, *offsets: int, source: str | None = TILL, partition: int = 0) -> list[object]:
        """Give for each letter None within the limit, else whose are too many ("" of the partition)."""
        found = [
            await self.limit.exceeded(letter(offset, partition), source, self._counts) for offset in offsets
        ]
        return [each and (each[0], each[1]) for each in found]

    def _counts(self, _partition: int, _offset: int, source: str | None) -> bool:
        return source not in self.settled


async def test_the_limit_is_per_partition_and_exact() -> None:
    """As many dead letters as the limit pass on each partition; one more is too many, and it says where."""
    counting = Counting(3)
    assert await counting.see(10, 20, 30) == [None] * 3
    assert await counting.see(10, 20, 30, partition=1) == [None] * 3
    told = (
        "4 of the last 1,000 records up to orders.commands/0/40 are dead letters, more than "
        "TILLSTREAM_DEAD_LETTER_LIMIT (3) allows, 4 of them of this source"
    )
    assert await counting.see(40) == [(TILL, told)]


async def whose(limit: int, sources: list[str | None], *, step: int = 1) -> object:
    """Give whose letters are too many where these sources sent one each, `step` records apart."""
    counting = Counting(limit)
    found: list[object] = []
    for number, source in enumerate(sources):
        found += await counting.see(number * step, source=source)
    assert found[:-1] == [None] * limit
    last = found[-1]
    assert isinstance(last, tuple)
    return last[0]


async def test_a_source_that_stands_out_is_what_is_broken() -> None:
    """The one with more than a quarter of the dead letters is named, also where it tells no name."""
    assert await whose(7, [OTHER, TILL, "c", "d", "e", TILL, "f", TILL]) == TILL
    assert await whose(3, [NO_SOURCE, NO_SOURCE, "a", "b"]) == NO_SOURCE


async def test_a_fault_of_everybodys_is_nobodys() -> None:
    """Where no source stands out, or the database refused it, the partition itself is meant."""
    assert await whose(7, [f"/till/{number}" for number in range(8)]) is None
    assert await whose(3, [None, None, None, TILL]) is None


async def test_among_good_records_even_many_broken_sources_are_told_apart() -> None:
    """While most records can be read it is not our fault: less than a quarter is enough to name a source."""
    sources: list[str | None] = [f"/till/{number % 8}" for number in range(41)]
    assert await whose(40, sources, step=3) == "/till/0"
    assert await whose(40, sources) is None
    assert await whose(40, [f"/till/{number}" for number in range(41)], step=3) is None


async def test_old_dead_letters_no_longer_count() -> None:
    """Dead letters that are rare enough never hold anything, however many there are in all."""
    counting = Counting(2)
    assert await counting.see(*(number * (WINDOW // 2) for number in range(50))) == [None] * 50
    assert (await counting.see(49 * (WINDOW // 2) + 1))[0] is not None


async def test_a_batch_that_comes_again_counts_once() -> None:
    """A batch that failed for another reason and is tried again does not reach the limit by that."""
    counting = Counting(3)
    for _ in range(5):
        assert await counting.see(10, 20, 30) == [None] * 3


async def test_what_is_decided_on_counts_no_more() -> None:
    """What was set aside or released leaves room for the dead letters of others."""
    counting = Counting(3)
    await counting.see(10, 20, 30)
    assert (await counting.see(40))[0] is not None
    counting.settled = {TILL}
    assert await counting.see(50, 60) == [None, None]
    assert await counting.see(70, 80, 90, source=OTHER) == [None] * 3
    assert (await counting.see(100, source=OTHER))[0] is not None


async def test_what_came_before_the_start_counts() -> None:
    """The records before the first dead letter are read once, and the dead ones among them count."""
    before = Before({1: TILL, 4_001: TILL, 4_500: TILL, 4_999: TILL})
    counting = Counting(4, before)
    assert await counting.see(5_000) == [None]
    assert before.asked == [(0, 4_001, 5_000)]
    assert (await Counting(3, before).see(5_000))[0] is not None
    assert await counting.see(5_001) == [None]
    assert len(before.asked) == 2
    assert (await counting.see(5_002))[0] is not None


async def test_a_new_assignment_looks_back_anew() -> None:
    """What another member may have handled meanwhile is counted after the partitions have moved."""
    before = Before()
    counting = Counting(1, before)
    await counting.see(10)
    counting.limit.forget()
    before.found = {10: TILL, 11: TILL, 12: TILL}
    assert (await counting.see(13))[0] is not None


async def test_a_limit_of_none_allows_not_the_first() -> None:
    """With a limit of 0 no dead letter is ever made."""
    assert (await Counting(0).see(0))[0] is not None


async def test_a_limit_as_large_as_the_window_is_none() -> None:
    """Where no number of dead letters can be too many, nothing is read again to count them."""
    before = Before(dict.fromkeys(range(WINDOW), TILL))
    assert await Counting(WINDOW, before).see(*range(WINDOW, 2 * WINDOW)) == [None] * WINDOW
    assert before.asked == []
