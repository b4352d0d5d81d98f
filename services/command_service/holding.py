"""Decides what of a topic of commands is held back: a broken sender, or the partition.

What names no command becomes a dead letter, up to a limit. Beyond it the source that sent most of them is
set aside: what it sends that names a command is carried out, and what names none is noted where it lies, so
that a flood is neither copied nor lost. Where no source stands out, the fault may be ours, and the partition
is held before its next dead letter: nothing behind it is decided out of its turn. An operator releases both.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import asyncpg
import structlog
from aiokafka import TopicPartition
from prometheus_client import Gauge

from command_service.dead_letter_limit import DeadLetterLimit
from commands import LONGEST_REASON, Hold, Record, TooLarge, dead_letter
from commands.holds import count_set_aside, place_hold, read_holds, set_aside
from messaging import Topics
from messaging.topics import MEBIBYTE
from runtime.printable import printable

log = structlog.get_logger(__name__)

_LABELS = ["topic", "partition"]
HELD_BACK = Gauge("tillstream_partition_held_back", "1 while the dead-letter limit holds it back.", _LABELS)
SOURCES = Gauge("tillstream_sources_set_aside", "Sources that the dead-letter limit has set aside.", _LABELS)
RECORDS = Gauge(
    "tillstream_records_set_aside", "Their records that wait for an operator, up to 10,000 a source.", _LABELS
)


class Letter(NamedTuple):
    """A record that is to become a dead letter, and why.

    `source` is who sent it (NO_SOURCE where that can't be read), None where the sender is not to blame.
    """

    record: Record
    reason: str
    source: str | None


class Judged(NamedTuple):
    """Which letters are to be stored, where partitions are held from now on, and how many were set aside."""

    letters: list[Letter]
    held: dict[TopicPartition, int]
    set_aside: int


class Holding:
    """The holds of one topic of commands, for the partitions that this process has."""

    def __init__(self, topics: Topics, limit: DeadLetterLimit) -> None:
        self._topic = topics.commands
        self._dead_letters = topics.dead_letters
        self._limit = limit
        self._holds: dict[tuple[int, str | None], Hold] = {}
        self._known = False
        self._partitions: set[int] = set()

    @property
    def partitions(self) -> set[int]:
        """The partitions that this process has."""
        return self._partitions

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Take partitions up: others may have placed holds on them."""
        self._partitions = {each.partition for each in partitions}
        self._known = False
        self._limit.forget()

    def revoked(self) -> None:
        """Tell nothing more of partitions that are not ours any more."""
        self._partitions = set()
        self._tell({})

    def concerns(self, letters: Sequence[Letter]) -> bool:
        """Tell whether a batch with these letters has to be judged: else nothing of it can be held back."""
        # Nobody but us places holds on what is ours: those that there were are known after the first look.
        return bool(letters) or not self._known or bool(self._open())

    async def look(self, conn: asyncpg.Connection) -> bool:
        """Read what is held by now, and keep the metrics; return whether any record is set aside."""
        await self._read(conn)
        aside = any(hold.source is not None for hold in self._holds.values())
        counts = await count_set_aside(conn, self._topic) if aside else {}
        self._tell(counts)
        return bool(counts)

    async def judge(
        self,
        conn: asyncpg.Connection,
        records: Mapping[TopicPartition, Sequence[Record]],
        letters: Sequence[Letter],
    ) -> Judged:
        """Decide on the letters of a batch, in their order; place the holds that they call for.

        `records` is all of the batch. What is set aside is noted when this returns. Raises KafkaError when
        the count before can't be had.
        """
        await self._read(conn)
        held = dict[TopicPartition, int]()
        for partition, found in records.items():
            if hold := self._held(partition.partition, None):
                beyond = [each.offset for each in found if each.offset >= hold.first_offset]
                if beyond:
                    held[partition] = beyond[0]
        stored, aside = list[Letter](), list[tuple[int, int]]()
        for letter in letters:
            record, partition = letter.record, TopicPartition(letter.record.topic, letter.record.partition)
            if partition in held and record.offset >= held[partition]:
                continue
            hold, too_large = self._set_aside(record.partition, letter.source), self._too_large(letter)
            if hold is None or (record.offset < hold.first_offset and too_large is None):
                hold = await self._place(conn, letter, too_large)
            if hold is None or hold.source not in {None, letter.source}:
                stored += self.storable([letter])
            elif hold.source is None:
                held[partition] = record.offset
            else:
                aside.append((hold.id, record.offset))
        if aside:
            await set_aside(conn, aside)
        return Judged(stored, held, len(aside))

    def storable(self, letters: Sequence[Letter]) -> list[Letter]:
        """Return the letters that their topic takes; of the others it is told that they are passed over."""
        found = []
        for letter in letters:
            if too_large := self._too_large(letter):
                log.error("commands.passed_over", reason=too_large)
            else:
                found.append(letter)
        return found

    def problem(self) -> str | None:
        """Name the partitions that are held back, and the verb that lets them go on; None if none is."""
        return _told([hold for hold in self._open() if hold.source is None])

    def state(self) -> str | None:
        """Name the sources that are set aside, and the verb that lets them go on; None if none is."""
        return _told([hold for hold in self._open() if hold.source is not None])

    async def _read(self, conn: asyncpg.Connection) -> None:
        self._holds = {(hold.partition, hold.source): hold for hold in await read_holds(conn, self._topic)}
        self._known = True

    def _open(self) -> list[Hold]:
        return [
            hold
            for hold in self._holds.values()
            if hold.released_to is None and hold.partition in self._partitions
        ]

    def _held(self, partition: int, source: str | None) -> Hold | None:
        hold = self._holds.get((partition, source))
        return hold if hold is not None and hold.released_to is None else None

    def _set_aside(self, partition: int, source: str | None) -> Hold | None:
        return None if source is None else self._held(partition, source)

    def _too_large(self, letter: Letter) -> str | None:
        """Say why a letter can't be stored whole, and what to do; None for nearly every one."""
        key, value, headers = letter.record.key or b"", letter.record.value or b"", letter.record.headers
        size = len(key) + len(value) + sum(len(name) + len(raw or b"") for name, raw in headers)
        if size > MEBIBYTE:
            try:
                dead_letter(self._dead_letters, letter.record, letter.reason)
            except TooLarge as error:
                return str(error)
        return None

    async def _place(self, conn: asyncpg.Connection, letter: Letter, too_large: str | None) -> Hold | None:
        """Count a letter, and hold what it calls for; None while that is allowed."""
        record = letter.record
        if too_large and self._counts(record.partition, record.offset, letter.source):
            source, reason = letter.source, too_large
        elif exceeded := await self._limit.exceeded(record, letter.source, self._counts):
            source, reason = exceeded
        else:
            return None
        reason = f"{reason}; this one: {printable(letter.reason)}"[:LONGEST_REASON]
        await place_hold(conn, record, source, reason)
        await self._read(conn)
        if hold := self._held(record.partition, source):
            event = "commands.partition_held_back" if source is None else "commands.source_set_aside"
            log.error(
                event,
                hold=hold.id,
                topic=self._topic,
                partition=record.partition,
                offset=record.offset,
                source=source,
                reason=reason,
                advice=f"till dead-letters release {hold.id}",
            )
        return hold

    def _counts(self, partition: int, offset: int, source: str | None) -> bool:
        """Tell whether a dead letter counts: neither its source is set aside, nor was it released."""
        if self._set_aside(partition, source):
            return False
        newest = (self._holds.get((partition, each)) for each in {source, None})
        return all(hold is None or hold.released_to is None or offset >= hold.released_to for hold in newest)

    def _tell(self, counts: Mapping[int, int]) -> None:
        for gauge in (HELD_BACK, SOURCES, RECORDS):
            gauge.clear()
        for partition in self._partitions:
            holds = [hold for hold in self._holds.values() if hold.partition == partition]
            labels = (self._topic, str(partition))
            HELD_BACK.labels(*labels).set(self._held(partition, None) is not None)
            SOURCES.labels(*labels).set(
                sum(hold.source is not None for hold in holds if hold.released_to is None)
            )
            RECORDS.labels(*labels).set(sum(counts.get(hold.id, 0) for hold in holds))


def _told(holds: Sequence[Hold]) -> str | None:
    return (
        "; ".join(
            f"{printable(hold.what)} since {hold.held_since:%Y-%m-%d %H:%M:%SZ}: {printable(hold.reason)}."
            f" `till dead-letters release {hold.id}` lets it go on"
            for hold in holds
        )
        or None
    )
