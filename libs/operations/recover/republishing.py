"""Fills an empty topic of events from the log, through the outbox: only the relay writes the topic."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import jiter

from commands import Context
from eventstore import SENDERS_LOCK, SHARDS, Batch, OutboxMessage, StreamKey, encode_headers, shard_of
from messaging import TopicReader, event_headers, fetch_topic
from operations.actions import recorded
from operations.errors import AlreadyUnderWay, OperationRefused
from operations.groups import wait_until_left
from operations.reaching_kafka import reaching_kafka
from operations.recover.work import Step, Work

# Orders in one transaction, and rows in the outbox beyond which the relay is waited for.
PAGE, ENOUGH = 100, 20_000
_LOOK_INTERVAL, _GROUP_INTERVAL = 0.2, 5.0

_CURSOR = """
SELECT after_tenant, after_order, events, finished_at FROM operations.republishings WHERE topic_id = $1
"""
_BEGIN = """
INSERT INTO operations.republishings (topic_id, action_id, after_tenant, after_order, events)
VALUES ($1, $2, '', '00000000-0000-0000-0000-000000000000', 0)
"""
_MOVE = """
UPDATE operations.republishings SET after_tenant = $2, after_order = $3, events = events + $4
WHERE topic_id = $1 RETURNING events
"""
_FINISH = "UPDATE operations.republishings SET finished_at = now() WHERE topic_id = $1"
_DROP_WAITING = "DELETE FROM outbox WHERE topic = $1"
_WAITING = "SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS waiting"
_COUNT = "SELECT count(*) FROM {events}"
_OF_TOPIC = "SELECT count(*) FROM outbox WHERE topic = $1"
_TAKE_LOCKS = "SELECT bool_and(pg_try_advisory_lock($1, shard)) FROM generate_series(0, $2) AS shard"
_EVENTS = """
SELECT w.tenant_id, w.aggregate_id, e.*
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS w (tenant_id, aggregate_id, ordinal)
CROSS JOIN LATERAL (
    SELECT version, event_id, event_type, schema_version, payload::text, metadata::text, occurred_at,
        recorded_at
    FROM {events}
    WHERE tenant_id = w.tenant_id AND aggregate_id = w.aggregate_id
) AS e
ORDER BY w.ordinal, e.version
"""


class Republishing(NamedTuple):
    """What filling `topic` would do, or, `executed`, has done.

    There are `events`, of which `done` are put out, up to the order `after`.
    """

    topic_id: UUID
    events: int
    done: int
    after: StreamKey | None
    begun: bool
    finished: bool
    topic: str
    executed: bool = False


async def republish(work: Work, actor: str, *, carry_out: bool = False) -> Republishing:
    """Look at the topic, which must be empty, and with `carry_out` fill it from the log, on the record.

    Raises OperationRefused for a topic with records that no republishing put there, or without those that
    one did; AlreadyUnderWay while another process sends or appends; NotFound without the topic, Unreachable.
    """
    with reaching_kafka(work.kafka):
        plan = await _look(work)
        if not carry_out or plan.finished:
            return plan
        await check_nobody_appends(work)
        async with recorded(work.conn, actor, "republish", {"topic_id": plan.topic_id}) as action:
            done = action.details["events"] = await _put_out(work, plan, action.id)
        return plan._replace(done=done, executed=True)


async def _look(work: Work) -> Republishing:
    """Tell what there is to do, and how far a republishing got that was broken off."""
    topic = work.topics.events
    topic_id = (await fetch_topic(work.kafka, topic)).topic_id
    cursor = await work.conn.fetchrow(_CURSOR, topic_id)
    if cursor is None:
        await _check_empty(work)
    else:
        await _check_still_there(work, cursor["events"])
    events = await work.conn.fetchval(work.context.store.tables.sql(_COUNT))
    return Republishing(
        topic_id,
        events,
        0 if cursor is None else cursor["events"],
        None if cursor is None else StreamKey(cursor["after_tenant"], cursor["after_order"]),
        cursor is not None,
        cursor is not None and cursor["finished_at"] is not None,
        topic,
    )


async def _records(work: Work) -> int:
    async with TopicReader.open(work.kafka, work.topics.events) as reader:
        return sum(end - reader.beginnings[number] for number, end in reader.ends.items())


async def _check_empty(work: Work) -> None:
    topic, records = work.topics.events, await _records(work)
    if records:
        raise OperationRefused(
            "topic_not_empty",
            f"{topic} is not empty: after its {records:,} records, older events would be out of order.",
            topic=topic,
        )


async def _check_still_there(work: Work, done: int) -> None:
    """Raise OperationRefused where outbox and topic have less than was put out: it was emptied again."""
    topic = work.topics.events
    # In this order: what the relay sends meanwhile is counted twice, and never missed.
    waiting: int = await work.conn.fetchval(_OF_TOPIC, topic)
    records = await _records(work)
    if waiting + records < done:
        raise OperationRefused(
            "topic_emptied",
            f"{topic} was emptied after it was filled: of {done:,} events put out, it and the outbox have"
            f" {waiting + records:,}.",
            topic=topic,
        )


async def _put_out(work: Work, plan: Republishing, action_id: int) -> int:
    """Put out all events, order by order, each order's in version order; return how many.

    While another process sends or appends, its messages would come between.
    """
    if not plan.begun:
        await _begin(work, plan.topic_id, action_id)
    store, done, looked_at, after = work.context.store, plan.done, 0.0, plan.after
    while True:
        if time.monotonic() - looked_at > _GROUP_INTERVAL:
            await check_nobody_appends(work)
            looked_at = time.monotonic()
        async with work.conn.transaction():
            page = await store.streams(work.conn, after, PAGE)
            if not page:
                break
            after = page[-1][0]
            rows = await work.conn.fetch(
                store.tables.sql(_EVENTS), *zip(*(key for key, _ in page), strict=True)
            )
            await store.append(work.conn, Batch(messages=[event_message(work, row) for row in rows]))
            done = await work.conn.fetchval(_MOVE, plan.topic_id, *after, len(rows))
        await _let_the_relay_follow(work, done, plan.events)
    await work.conn.execute(_FINISH, plan.topic_id)
    return done


async def check_nobody_appends(work: Work) -> None:
    """Raise AlreadyUnderWay when a command service runs; one that was killed counts for its session."""
    group = work.topics.group(work.context.command_group)
    if not await wait_until_left(work.kafka, group):
        raise AlreadyUnderWay("command_services_run", f"Command services run, in the group {group}.")


async def _begin(work: Work, topic_id: UUID, action_id: int) -> None:
    # What waits in the outbox comes again in its turn; sent before, it would be out of order.
    try:
        if not await work.conn.fetchval(_TAKE_LOCKS, SENDERS_LOCK, SHARDS - 1):
            raise AlreadyUnderWay("relay_runs", "An outbox relay runs.")
        await _check_empty(work)
        async with work.conn.transaction():
            await work.conn.execute(_DROP_WAITING, work.topics.events)
            await work.conn.execute(_BEGIN, topic_id, action_id)
    finally:
        await work.conn.fetch("SELECT pg_advisory_unlock_all()")


async def _let_the_relay_follow(work: Work, done: int, events: int) -> None:
    told = Step("events are put out", done, events)
    work.tell(told)
    while await work.conn.fetchval(_WAITING, ENOUGH) >= ENOUGH:
        work.tell(told._replace(waits_for="the relay, which must run and send them"))
        await asyncio.sleep(_LOOK_INTERVAL)


def event_message(work: Work, row: asyncpg.Record) -> OutboxMessage:
    """Return the message of a stored event, byte for byte as it was when it was appended.

    The store keeps a payload's content and not its text, so the text is made again, as this build makes it;
    an event of an older schema version gets its content in compact JSON.
    """
    metadata: dict[str, Any] = json.loads(row["metadata"])
    aggregate_id = str(row["aggregate_id"])
    headers = event_headers(
        event_id=str(row["event_id"]),
        message_type=work.context.type_prefix + row["event_type"],
        aggregate_id=aggregate_id,
        tenant_id=row["tenant_id"],
        actor=metadata["actor"],
        version=row["version"],
        schema_version=row["schema_version"],
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        correlation_id=metadata["correlation_id"],
        causation_id=metadata["causation_id"],
        metadata={name: metadata[name] for name in ("undoes", "redoes") if name in metadata},
    )
    key, value = aggregate_id.encode(), _value(work.context, row, metadata)
    return OutboxMessage(work.topics.events, key, encode_headers(headers), value, shard_of(key))


def _value(context: Context[Any], row: asyncpg.Record, metadata: Mapping[str, Any]) -> bytes:
    text: str = row["payload"]
    event_type = row["event_type"]
    if row["schema_version"] != context.store.schema_versions.get(event_type):
        return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False).encode()
    payload = jiter.from_json(text.encode(), float_mode="decimal")
    undoes, redoes = metadata.get("undoes", ()), metadata.get("redoes", ())
    event = context.domain.decode_event(
        event_type, payload, occurred_at=row["occurred_at"], undoes=undoes, redoes=redoes
    )
    return context.domain.encode_event(event)[2].encode()
