"""Tells when dead-lettering has become the rule, and whose it is: a broken sender's, or a bad deploy's.

The model is the dead-letter limit of Sentry's Arroyo. Where that counts from the process's start, what came
before is read from the topic again and judged by this very build: a service that takes a partition over, or
is started again, counts what its predecessor did.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError

from commands import NamesNoCommand, Record, read_name, read_source
from messaging import KafkaConnection, read_again

log = structlog.get_logger(__name__)

WINDOW = 1_000
"""How many of a partition's last records are looked at."""

# A source with more than this share of a partition's dead letters is taken for what is broken. After a bad
# deploy of ours they are everybody's; but not where most of the records between them can be read.
_SHARE, _SHARE_AMONG_GOOD_ONES = 1 / 4, 1 / 20

DeadBefore = Callable[[TopicPartition, int, int], Awaitable[Mapping[int, str]]]
"""Gives offset → source of the records that name no command, from one offset up to, not with, another."""
Counts = Callable[[int, int, str | None], bool]
"""Tells whether a partition's dead letter at an offset counts, by its source: what was decided on doesn't."""


def dead_before(kafka: KafkaConnection) -> DeadBefore:
    """Return how to find the dead letters of a stretch that was handled before, by reading it again.

    They are told by their names alone, whatever they hold. Where the rest of the stretch doesn't come, or
    can't be read, it gives what was found by then: the limit is a safeguard, and its want no reason to stop.
    Raises KafkaError while Kafka is away.
    """

    async def find(partition: TopicPartition, first: int, end: int) -> Mapping[int, str]:
        found: dict[int, str] = {}

        def see(record: Record) -> None:
            try:
                read_name(record)
            except NamesNoCommand:
                found[record.offset] = read_source(record)

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

    def __init__(self, limit: int, before: DeadBefore) -> None:
        self._limit = limit
        self._before = before
        self._dead: dict[TopicPartition, Mapping[int, str | None]] = {}

    def forget(self) -> None:
        """Forget what was counted: other records may be handled elsewhere before the next ones come."""
        self._dead.clear()

    async def exceeded(
        self, record: Record, source: str | None, counts: Counts
    ) -> tuple[str | None, str] | None:
        """Count a dead letter before it is stored, the same one once; None while the limit allows it.

        Else it returns whose dead letters are too many, and that in words: a source's, or None for nobody's
        own. `source` None is of what no sender is to blame for. Raises KafkaError when the records before
        can't be had.
        """
        partition, offset = TopicPartition(record.topic, record.partition), record.offset
        if self._limit >= WINDOW or not counts(record.partition, offset, source):
            return None
        before = self._dead.get(partition)
        if before is None:
            before = await self._before(partition, max(0, offset - WINDOW + 1), offset)
        dead = {
            at: whose
            for at, whose in {**before, offset: source}.items()
            if at > offset - WINDOW and counts(record.partition, at, whose)
        }
        self._dead[partition] = dead
        whose = {at: each for at, each in dead.items() if at <= offset}
        if len(whose) <= self._limit:
            return None
        told = (
            f"{len(whose)} of the last {WINDOW:,} records up to {partition.topic}/{partition.partition}/"
            f"{offset} are dead letters, more than TILLSTREAM_DEAD_LETTER_LIMIT ({self._limit}) allows"
        )
        stretch = offset - min(whose) + 1
        share = _SHARE_AMONG_GOOD_ONES if stretch > 2 * len(whose) else _SHARE
        for worst, its in Counter(each for each in whose.values() if each is not None).most_common(1):
            if its > len(whose) * share:
                return worst, f"{told}, {its} of them of this source"
        return None, f"{told}, of no source above all: look at what was deployed last, here and upstream"
