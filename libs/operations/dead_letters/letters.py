"""Dead letters as an operator meets them, found on their topic."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from aiokafka import ConsumerRecord

from messaging import InvalidAttribute, KafkaConnection, Offsets, TopicReader, Undecodable, open_envelope
from operations.errors import NotFound
from operations.reaching_kafka import reaching_kafka
from runtime.printable import printable

OURS = ("deadletter_id", "deadletter_topic", "deadletter_partition", "deadletter_offset", "deadletter_reason")
"""The headers that stand behind the record's own, in this order."""

# Records of each partition that are read at a time, going back from the newest.
WINDOW = 500


@dataclass(frozen=True)
class DeadLetter:
    """A record as it was received, and the place it was read at; `at` is when it became a dead letter."""

    id: str
    at: datetime
    topic: str
    partition: int
    offset: int
    reason: str
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None

    @property
    def place(self) -> str:
        """Where it was read, as topic/partition/offset."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @cached_property
    def command(self) -> tuple[str, UUID] | None:
        """The tenant and the id of its command, where they can be read."""
        try:
            return self.names["tenantid"], UUID(self.names["id"])
        except (KeyError, ValueError):
            return None

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Its CloudEvents attributes, as far as they can be read; what is given twice is the first."""
        found: dict[str, str] = {}
        for name, raw in self.headers:
            if name.lower().startswith("ce_") and raw is not None:
                found.setdefault(name.lower().removeprefix("ce_"), raw.decode(errors="backslashreplace"))
        if found:
            return found
        try:
            attributes = open_envelope(self.headers, self.value).attributes
        except (Undecodable, InvalidAttribute):
            return {}
        return {
            name: text
            for name in ("tenantid", "subject", "type", "id")
            if (text := attributes.get(name)) is not None
        }


def read_dead_letter(record: ConsumerRecord[bytes, bytes]) -> DeadLetter | None:
    """Return what a record of the dead letters' topic is; None when no service of ours wrote it."""
    headers = tuple(record.headers)
    own, ours = headers[: -len(OURS)], headers[-len(OURS) :]
    if tuple(name for name, _ in ours) != OURS or any(raw is None for _, raw in ours):
        return None
    id_, topic, partition, offset, reason = (
        (raw or b"").decode(errors="backslashreplace") for _, raw in ours
    )
    if not (partition.isdecimal() and offset.isdecimal()):
        return None
    return DeadLetter(
        id_, _time(record), topic, int(partition), int(offset), reason, record.key, own, record.value
    )


def _time(record: ConsumerRecord[bytes, bytes]) -> datetime:
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)


class Looked(NamedTuple):
    """Dead letters of one window, how many records it had, and how many of them are none of ours.

    `older_than` is the time that all which is still to come is older than, or None when nothing is to come.
    """

    letters: list[DeadLetter]
    records: int
    foreign: int
    older_than: datetime | None


async def look_back(reader: TopicReader, beginnings: Offsets, ends: Offsets) -> AsyncIterator[Looked]:
    """Yield a stretch of the topic's dead letters from the newest on, a window of each partition at a time.

    A letter that was published twice is there twice. Raises KafkaError and TimeoutError.
    """
    while left := {number: end for number, end in ends.items() if end > beginnings[number]}:
        starts = {number: max(beginnings[number], end - WINDOW) for number, end in left.items()}
        letters: list[DeadLetter] = []
        oldest: dict[int, datetime] = {}
        count = foreign = 0
        async for records in reader.pages(starts, left):
            count += len(records)
            for record in records:
                oldest.setdefault(record.partition, _time(record))
                letter = read_dead_letter(record)
                if letter is None:
                    foreign += 1
                else:
                    letters.append(letter)
        unread = [oldest.get(number) for number, start in starts.items() if start > beginnings[number]]
        yield Looked(letters, count, foreign, max(filter(None, unread), default=None))
        ends = starts


async def find_letters(kafka: KafkaConnection, topic: str, ids: Iterable[str]) -> list[DeadLetter]:
    """Return these dead letters of `topic`, however far back, as they followed each other where they came.

    Raises NotFound for an unknown id, and Unreachable.
    """
    missing, found = set(ids), list[DeadLetter]()
    with reaching_kafka(kafka):
        async with TopicReader.open(kafka, topic) as reader:
            async for looked in look_back(reader, reader.beginnings, reader.ends):
                # By id: one that was published twice is one.
                new = {letter.id: letter for letter in looked.letters if letter.id in missing}
                found += new.values()
                missing -= new.keys()
                if not missing:
                    break
    if missing:
        raise NotFound(
            "no_dead_letter", f"{topic} has no dead letter {printable(', '.join(sorted(missing)))}."
        )
    return sorted(found, key=lambda letter: (letter.topic, letter.partition, letter.offset))
