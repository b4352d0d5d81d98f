"""Dead letters as an operator meets them: found on their topic, with what was decided, and sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple, Self

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from commands import NamesNoCommand, read_name
from messaging import (
    InvalidAttribute,
    KafkaConnection,
    Offsets,
    TopicReader,
    Topics,
    Undecodable,
    open_envelope,
    stop_consumer,
)

OURS = (
    "deadletter_id",
    "deadletter_topic",
    "deadletter_partition",
    "deadletter_offset",
    "deadletter_reason",
)
"""The headers that stand behind the record's own, in this order."""

# Records of each partition that are read at a time, going back from the newest.
WINDOW = 500
SEND_TIMEOUT = 15.0
_REQUEST_BYTES = 4 * 1024 * 1024

_DECISIONS = """
SELECT dead_letter_id, decision, decided_at, actor, note
FROM operations.dead_letter_decisions JOIN operations.actions ON id = action_id
WHERE dead_letter_id = ANY($1::text[]) ORDER BY decided_at, id
"""
_DECIDE = """
INSERT INTO operations.dead_letter_decisions (action_id, dead_letter_id, decision, note)
VALUES ($1, $2, $3, $4)
"""


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

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Its CloudEvents attributes, as far as they can be read; what is given twice is the first."""
        try:
            attributes = open_envelope(self.headers, self.value).attributes
        except (Undecodable, InvalidAttribute):
            found: dict[str, str] = {}
            for name, raw in self.headers:
                if name.lower().startswith("ce_") and raw is not None:
                    found.setdefault(name.lower().removeprefix("ce_"), raw.decode(errors="backslashreplace"))
            return found
        return {
            name: text
            for name in ("tenantid", "subject", "type", "id")
            if (text := attributes.get(name)) is not None
        }


async def offsets_at(reader: TopicReader, kafka: KafkaConnection, topic: str, moment: datetime) -> Offsets:
    """Return where each partition's first record at or after a time lies, else the partition's end."""
    consumer = AIOKafkaConsumer(**kafka.options())
    await consumer.start()
    try:
        asked = {TopicPartition(topic, number): int(moment.timestamp() * 1000) for number in reader.ends}
        found = await consumer.offsets_for_times(asked)
    finally:
        await stop_consumer(consumer)
    return {
        partition.partition: reader.ends[partition.partition] if place is None else place.offset
        for partition, place in found.items()
    }


class Decision(NamedTuple):
    """What was decided about a dead letter, when and by whom."""

    dead_letter_id: str
    decision: str
    decided_at: datetime
    actor: str
    note: str


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


async def find_letters(reader: TopicReader, ids: Iterable[str]) -> dict[str, DeadLetter]:
    """Return id → dead letter of those that are on the topic, however far back."""
    missing, found = set(ids), dict[str, DeadLetter]()
    async for looked in look_back(reader, reader.beginnings, reader.ends):
        found |= {letter.id: letter for letter in looked.letters if letter.id in missing}
        missing -= found.keys()
        if not missing:
            break
    return found


async def read_decisions(connection: asyncpg.Connection, ids: Iterable[str]) -> dict[str, list[Decision]]:
    """Return id → what was decided, in this order; what nothing was decided about is absent."""
    decisions: dict[str, list[Decision]] = {}
    for row in await connection.fetch(_DECISIONS, list(ids)):
        decisions.setdefault(row["dead_letter_id"], []).append(Decision(*row))
    return decisions


async def decide(
    connection: asyncpg.Connection, action_id: int, letter: DeadLetter, decision: str, note: str
) -> None:
    """Keep a decision (`retried` or `resolved`), as the outcome of an action."""
    await connection.execute(_DECIDE, action_id, letter.id, decision, note)


def unreadable(letter: DeadLetter) -> str | None:
    """Return why this build finds no command in a letter either; None where it names one."""
    record: ConsumerRecord[bytes, bytes] = ConsumerRecord(
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
        timestamp=0,
        timestamp_type=0,
        key=letter.key,
        value=letter.value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=letter.headers,
    )
    try:
        read_name(record)
    except NamesNoCommand as error:
        return str(error)
    return None


class Resending:
    """Sends dead letters once more to the place they came from: the same bytes, without our headers.

    To the same partition, whatever the key says: there lie the other commands of the same order, for a sender
    that partitions in its own way, too.
    """

    def __init__(self, kafka: KafkaConnection, topics: Topics) -> None:
        self._topic = topics.commands
        self._producer = AIOKafkaProducer(
            **kafka.options(),
            enable_idempotence=True,
            acks="all",
            max_batch_size=_REQUEST_BYTES,
            max_request_size=_REQUEST_BYTES,
        )

    async def __aenter__(self) -> Self:
        """Connect; raises KafkaError when no broker answers."""
        async with asyncio.timeout(SEND_TIMEOUT):
            await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        # After a failed send it could wait for ever (aiokafka#1101).
        with suppress(TimeoutError):
            async with asyncio.timeout(SEND_TIMEOUT):
                await self._producer.stop()

    async def takes(self, letter: DeadLetter) -> bool:
        """Tell whether the letter can go back: its topic takes commands and still has the partition."""
        return letter.topic == self._topic and letter.partition in await self._producer.partitions_for(
            self._topic
        )

    async def send(self, letter: DeadLetter) -> dict[str, Any]:
        """Send it and return its new place; after a KafkaError or TimeoutError it may be there too."""
        batch = self._producer.create_batch()
        # Not by `send`, which wants a key or a value.
        batch.append(key=letter.key, value=letter.value, headers=list(letter.headers), timestamp=None)
        batch.close()
        async with asyncio.timeout(SEND_TIMEOUT):
            sent = await (await self._producer.send_batch(batch, letter.topic, partition=letter.partition))
        return {"topic": letter.topic, "partition": letter.partition, "offset": sent.offset}
