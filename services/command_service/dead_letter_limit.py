"""Stops the service when dead-lettering becomes the rule, as after a bad deploy, here or upstream.

The model is the dead-letter limit of Sentry's Arroyo. Where that counts from the process's start, what came
before is read from the topic again and judged by this very build: so a service that its supervisor starts
again stops at the same record again, and one that was mended goes on at once.
"""

from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError

from commands import NamesNoCommand, Record, read_name
from messaging import KafkaConnection, Unrecoverable, read_again

log = structlog.get_logger(__name__)

WINDOW = 1_000
"""How many of a partition's last records are looked at."""

DeadOffsets = Callable[[TopicPartition, int, int], Awaitable[set[int]]]
"""Gives the offsets, from one up to but not including another, of the records that name no command."""


def dead_offsets(kafka: KafkaConnection) -> DeadOffsets:
    """Return how to find the dead letters of a stretch that was handled before, by reading it again.

    They are told by their names alone, whatever they hold. Where the rest of the stretch doesn't come, or
    can't be read, it gives what was found by then: the limit is a safeguard, and its want no reason to stop.
    Raises KafkaError while Kafka is away.
    """

    async def find(partition: TopicPartition, first: int, end: int) -> set[int]:
        found: set[int] = set()

        def see(record: Record) -> None:
            try:
                read_name(record)
            except NamesNoCommand:
                found.add(record.offset)

        try:
            await read_again(kafka, partition, first, end, see)
        except (TimeoutError, CorruptRecordException, UnsupportedCodecError) as error:
            log.warning(
                "dead_letters.count_incomplete",
                partition=partition.partition,
                first=first,
                end=end,
                found=len(found),
                error=repr(error),
            )
        return found

    return find


class DeadLetterLimit:
    """Counts the dead letters among each partition's last WINDOW records."""

    def __init__(self, limit: int, dead_before: DeadOffsets) -> None:
        self._limit = limit
        self._dead_before = dead_before
        self._dead: dict[TopicPartition, set[int]] = {}

    def forget(self) -> None:
        """Forget what was counted: other records may be handled elsewhere before the next ones come."""
        self._dead.clear()

    async def check(self, letters: Sequence[tuple[Record, str]]) -> None:
        """Count these dead letters, each with its reason, before they are stored; the same ones count once.

        Raises Unrecoverable at the first one that is beyond the limit, KafkaError when the records before
        can't be had.
        """
        if self._limit >= WINDOW:
            return
        for record, reason in letters:
            partition, offset = TopicPartition(record.topic, record.partition), record.offset
            dead = self._dead.get(partition)
            if dead is None:
                dead = await self._dead_before(partition, max(0, offset - WINDOW + 1), offset)
            self._dead[partition] = dead = {each for each in dead if each > offset - WINDOW} | {offset}
            count = sum(each <= offset for each in dead)
            if count > self._limit:
                raise Unrecoverable(
                    f"{count} of the last {WINDOW:,} records up to {partition.topic}/{partition.partition}/"
                    f"{offset} are dead letters, more than TILLSTREAM_DEAD_LETTER_LIMIT ({self._limit}) "
                    f"allows; this one: {reason}. Look at what was deployed last, here and upstream"
                )
