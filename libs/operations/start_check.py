"""Notices that the database was restored to an earlier state than the topics tell of.

The next append would give versions anew that others have read with other content. So whoever writes looks
first, and starts only where the database has what the topics end with.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import jiter
import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import UnknownTopicOrPartitionError

from commands import COMMAND_ID_REUSED, Context
from eventstore import StreamKey, decode_headers
from messaging import (
    Attributes,
    KafkaConnection,
    TopicReader,
    Topics,
    Unrecoverable,
    check_topics_keep,
    started,
)
from runtime import Database, Health, Settings

log = structlog.get_logger(__name__)

LOOKED_AT = 2_500
"""Records of each partition: more than a relay that died in mid-send can send again."""

_ADVICE = "Stop all services, then run `till recover`: docs/recovery.md"

Check: TypeAlias = Callable[[asyncpg.Connection], Awaitable[None]]
_Record: TypeAlias = ConsumerRecord[bytes, bytes]


class TopicAhead(Unrecoverable):
    """A topic holds what the database lacks, or has otherwise; the text names one record."""


async def check_logs_have_topics(
    conn: asyncpg.Connection, kafka: KafkaConnection, prefix: str, contexts: Iterable[Context[Any]]
) -> None:
    """Compare the last records of each partition of the contexts' topics of events with their logs.

    A topic that does not exist tells nothing. Raises TopicAhead, KafkaError, OSError and asyncpg's errors.
    """
    for context in contexts:
        async for records in _last(kafka, context.topics(prefix).events):
            await _compare(conn, context, records)


async def check_database_has_topics(
    conn: asyncpg.Connection, kafka: KafkaConnection, prefix: str, context: Context[Any]
) -> None:
    """Compare the last events, and the last outcomes: a command that led to no event leaves only the latter.

    Raises as `check_logs_have_topics` does.
    """
    await check_logs_have_topics(conn, kafka, prefix, [context])
    async for records in _last(kafka, context.topics(prefix).outcomes):
        await _compare_outcomes(conn, context, records)


async def _last(kafka: KafkaConnection, topic: str) -> AsyncIterator[list[_Record]]:
    try:
        async with TopicReader.open(kafka, topic) as reader:
            ends = reader.ends
            first = {n: max(reader.beginnings[n], end - LOOKED_AT) for n, end in ends.items()}
            async for records in reader.pages(first, ends):
                yield records
    except UnknownTopicOrPartitionError:
        log.warning("topic.missing", topic=topic)


def _attributes(record: _Record, *names: str) -> Attributes:
    """Read the named attributes, of which a null header is none. Raises ValueError."""
    found = dict(record.headers)
    return Attributes({name: value.decode() for name in names if (value := found.get(f"ce_{name}"))})


async def _compare(conn: asyncpg.Connection, context: Context[Any], records: list[_Record]) -> None:
    events = {}
    for record in records:
        try:
            attributes = _attributes(record, "tenantid", "subject", "version", "id")
            key = StreamKey(attributes.text("tenantid"), attributes.uuid("subject"))
            events[key, attributes.integer("version", least=1)] = (attributes.uuid("id"), record)
        except ValueError:
            # No event of ours: that is for those who apply it to tell.
            continue
    stored = await context.store.find_event_ids(conn, list(events))
    for (key, version), (event_id, record) in events.items():
        if stored.get((key, version)) != event_id:
            there = (key, version) in stored
            lacking = "in whose place the log has another" if there else "that the log lacks"
            raise TopicAhead(
                f"{_place(record)} is version {version} of {context.store.tables.aggregate}"
                f" {key.aggregate_id} of {key.tenant_id}, an event {lacking}:"
                f" the database seems to have been restored to an earlier state. {_ADVICE}"
            )


async def _compare_outcomes(conn: asyncpg.Connection, context: Context[Any], records: list[_Record]) -> None:
    outcomes: dict[tuple[str, UUID], _Record] = {}
    for record in records:
        try:
            attributes = _attributes(record, "tenantid", "causationid")
            key = attributes.text("tenantid"), attributes.uuid("causationid")
            if _is_own_answer(record.value or b""):
                outcomes[key] = record
        except ValueError:
            # No outcome of ours.
            continue
    if not outcomes:
        return
    _, stored = await context.store.find_outcomes(conn, list(outcomes))
    for (tenant_id, command_id), record in outcomes.items():
        kept = stored.get((tenant_id, command_id))
        if kept is None or (kept.value, decode_headers(kept.headers)) != (record.value, list(record.headers)):
            lacking = "that the database lacks" if kept is None else "where the database has another"
            raise TopicAhead(
                f"{_place(record)} is the outcome of the command {command_id} of {tenant_id}, {lacking}:"
                f" it seems to have been restored to an earlier state. {_ADVICE}"
            )


def _is_own_answer(value: bytes) -> bool:
    """Tell whether an answer is kept: the one to an id that was used again is not. Raises ValueError."""
    data = jiter.from_json(value)
    if not isinstance(data, dict):
        raise ValueError("is no outcome")  # noqa: TRY004 - as of any other value that is none
    return data.get("code") != COMMAND_ID_REUSED


def _place(record: _Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


async def refused(
    settings: Settings,
    database: Database,
    check: Check,
    keeping: Mapping[Topics, Collection[str]],
    health: Health,
) -> bool:
    """Tell, and log, whether a service must not start; servers that are away are waited for.

    Raises what the last try raised once the retry budget is spent.
    """

    async def look() -> None:
        for topics, names in keeping.items():
            await check_topics_keep(KafkaConnection.of(settings), topics, names)
        await database.use(check)

    try:
        await started(look, health, settings.retry_budget)
    except Unrecoverable as error:
        log.error("service.refused", reason=str(error))  # noqa: TRY400 - no fault of ours
        return True
    return False
