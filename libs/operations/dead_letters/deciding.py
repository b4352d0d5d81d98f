"""What operators decide about dead letters: to send them again, or to settle them with a note."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import suppress
from typing import Any, Self

import asyncpg
from aiokafka import AIOKafkaProducer, ConsumerRecord

from commands import CONTEXTS, NamesNoCommand, read_name
from messaging import KafkaConnection, Topics
from operations.actions import recorded
from operations.dead_letters.decisions import LetterDecision, read_decisions
from operations.dead_letters.letters import DeadLetter, find_letters
from operations.errors import OperationRefused
from operations.reaching_kafka import reaching_kafka
from runtime.printable import printable

SEND_TIMEOUT = 15.0
_REQUEST_BYTES = 4 * 1024 * 1024

_DECIDE = """
INSERT INTO operations.dead_letter_decisions (action_id, dead_letter_id, decision, note)
VALUES ($1, $2, $3, $4)
"""


async def read_letter(
    conn: asyncpg.Connection, kafka: KafkaConnection, topics: Topics, letter_id: str
) -> tuple[DeadLetter, list[LetterDecision]]:
    """Return a dead letter and what was decided about it. Raises NotFound and Unreachable."""
    (letter,) = await find_letters(kafka, topics.dead_letters, [letter_id])
    return letter, (await read_decisions(conn, [letter.id])).get(letter.id, [])


async def resend(
    conn: asyncpg.Connection,
    kafka: KafkaConnection,
    topics: Topics,
    ids: Collection[str],
    *,
    actor: str,
    note: str,
    again: bool,
    anyway: bool,
) -> AsyncIterator[tuple[DeadLetter, str]]:
    """Send dead letters to where they came from, each as an action of `actor`; yield each with its new place.

    None is sent unless all can be: OperationRefused is raised for one that something was decided about (but
    `again`), that this build can't read either (but `anyway`), or that came from where no commands are taken;
    NotFound for an unknown id; Unreachable, after which some may have been sent.
    """
    letters = await find_letters(kafka, topics.dead_letters, ids)
    if not again:
        await _check_open(conn, letters)
    if not anyway:
        _check_readable(letters)
    with reaching_kafka(kafka):
        async with _Resending(kafka, topics.prefix) as resending:
            for letter in letters:
                await resending.check(letter)
            for letter in letters:
                arguments = {"dead_letter_id": letter.id, "note": note}
                async with recorded(conn, actor, "dead-letters retry", arguments) as action:
                    place = await resending.send(letter)
                    action.details.update(place)
                    await conn.execute(_DECIDE, action.id, letter.id, "retried", note)
                yield letter, "{topic}/{partition}/{offset}".format_map(place)


async def resolve(
    conn: asyncpg.Connection,
    kafka: KafkaConnection,
    topics: Topics,
    ids: Collection[str],
    *,
    actor: str,
    note: str,
) -> AsyncIterator[DeadLetter]:
    """Settle dead letters without sending them, each as an action of `actor`. Raises NotFound at first."""
    for letter in await find_letters(kafka, topics.dead_letters, ids):
        arguments = {"dead_letter_id": letter.id, "note": note}
        async with recorded(conn, actor, "dead-letters resolve", arguments) as action:
            await conn.execute(_DECIDE, action.id, letter.id, "resolved", note)
        yield letter


async def _check_open(conn: asyncpg.Connection, letters: Sequence[DeadLetter]) -> None:
    decisions = await read_decisions(conn, [letter.id for letter in letters])
    for letter in letters:
        if letter.id in decisions:
            newest = decisions[letter.id][-1]
            raise OperationRefused(
                "already_decided",
                f"{letter.id} was {newest.decision} at {newest.decided_at:%Y-%m-%d %H:%M:%SZ}"
                f" by {printable(newest.actor)}.",
            )


def _check_readable(letters: Sequence[DeadLetter]) -> None:
    for letter in letters:
        if reason := _unreadable(letter):
            raise OperationRefused(
                "not_readable", f"{letter.id} can't be read by this build either: {printable(reason)}."
            )


def _unreadable(letter: DeadLetter) -> str | None:
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


class _Resending:
    """Sends dead letters once more to the place they came from: the same bytes, without our headers.

    To the same partition, whatever the key says: there lie the other commands of the same order, for a sender
    that partitions in its own way, too.
    """

    def __init__(self, kafka: KafkaConnection, prefix: str) -> None:
        self._topics = {context.topics(prefix).commands for context in CONTEXTS.values()}
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

    async def check(self, letter: DeadLetter) -> None:
        """Raise OperationRefused unless its topic takes commands and still has the partition."""
        takes_commands = letter.topic in self._topics
        if not takes_commands or letter.partition not in await self._producer.partitions_for(letter.topic):
            raise OperationRefused(
                "takes_no_commands",
                f"{letter.id} came from {letter.topic}/{letter.partition}, which takes no commands.",
                topic=", ".join(sorted(self._topics)),
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
