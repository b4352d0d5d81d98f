"""Notices that the database was restored to an earlier state than the topic of events tells of.

The next append would give versions anew that others have read with other content. So whoever writes looks
first, and starts only where the log has what the topic ends with.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from eventstore import StreamKey, find_event_ids
from messaging import KafkaConnection, TopicReader, Topics, Unrecoverable
from messaging.retrying import Budget
from runtime import Database, Settings, is_passing_fault

log = structlog.get_logger(__name__)

LOOKED_AT = 500
"""Records of each partition: more than a relay that died in mid-send can send again."""

_ADVICE = "Stop all services, then run `till recover`: docs/recovery.md"


class TopicAhead(Unrecoverable):
    """The topic holds events that the log lacks, or others in their place; the text names one."""


async def check_log_has_topic(conn: asyncpg.Connection, kafka: KafkaConnection, topic: str) -> None:
    """Compare the last records of each partition of the topic of events with the log.

    A topic that does not exist tells nothing. Raises TopicAhead, KafkaError, OSError and asyncpg's errors.
    """
    try:
        async with TopicReader.open(kafka, topic) as reader:
            ends = reader.ends
            first = {n: max(reader.beginnings[n], end - LOOKED_AT) for n, end in ends.items()}
            async for records in reader.pages(first, ends):
                await _compare(conn, records)
    except UnknownTopicOrPartitionError:
        log.warning("topic.missing", topic=topic)


async def _compare(conn: asyncpg.Connection, records: list[ConsumerRecord[bytes, bytes]]) -> None:
    events = {}
    for record in records:
        headers = dict(record.headers)
        try:
            key = StreamKey(headers["ce_tenantid"].decode(), UUID(headers["ce_subject"].decode()))
            events[key, int(headers["ce_version"])] = (UUID(headers["ce_id"].decode()), record)
        except (LookupError, ValueError):
            # No event of ours: that is for those who apply it to tell.
            continue
    stored = await find_event_ids(conn, list(events))
    for (key, version), (event_id, record) in events.items():
        if stored.get((key, version)) != event_id:
            there = (key, version) in stored
            lacking = "in whose place the log has another" if there else "that the log lacks"
            raise TopicAhead(
                f"{record.topic}/{record.partition}/{record.offset} is version {version} of order"
                f" {key.aggregate_id} of {key.tenant_id}, an event {lacking}:"
                f" the database seems to have been restored to an earlier state. {_ADVICE}"
            )


async def refused(settings: Settings, database: Database) -> bool:
    """Tell, and log, whether a service must not start; servers that are away are waited for.

    Raises what the last try raised once the retry budget is spent.
    """
    kafka, topic = KafkaConnection.of(settings), Topics(settings.topic_prefix).events
    budget = Budget(settings.retry_budget)
    while True:
        try:
            await check_log_has_topic(await database.connection(), kafka, topic)
        except TopicAhead as error:
            log.error("service.refused", reason=str(error))  # noqa: TRY400 - no fault of ours
            return True
        except Exception as error:
            database.discard()
            # A permission that is missing is not there a second later.
            passing = error.retriable if isinstance(error, KafkaError) else is_passing_fault(error)
            delay = budget.next_delay() if passing else None
            if delay is None:
                raise
            log.warning("service.start_retried", error=repr(error), delay=delay)
            await asyncio.sleep(delay)
        else:
            return False
