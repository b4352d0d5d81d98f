"""Carries a recovery out: all that it brings back in one transaction, or nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from aiokafka import TopicPartition

from commands import (
    ACCEPTED,
    UNKNOWN_FINGERPRINT,
    NamesNoCommand,
    Request,
    outcome_content,
    outcome_message,
    read_request,
)
from eventstore import SENDERS_LOCK, SHARDS, Batch, StreamKey
from messaging import KafkaConnection, Offsets, Topics, stop_consumer
from operations.errors import AlreadyUnderWay, Contradiction
from operations.recover.answering import Answer, Answering, Happened, stored_outcome
from operations.recover.lost_messages import CommandKey, LostOutcome, Record
from operations.recover.republishing import check_nobody_appends
from operations.recover.scratch import Scratch
from operations.recover.survey import Survey, dead_letters, handled_up_to
from operations.recover.work import Work
from operations.recover.writing import DatedOutcome, insert_events, insert_lost_events, insert_outcomes
from runtime import TenantSettings

_HAPPENED = """
SELECT w.ordinal, e.version, e.event_id, e.recorded_at, e.actor, e.correlation_id
FROM unnest($1::text[], $2::uuid[], $3::text[])
    WITH ORDINALITY AS w (tenant_id, aggregate_id, causation_id, ordinal)
CROSS JOIN LATERAL (
    SELECT version, event_id, recorded_at, metadata->>'actor' AS actor,
        metadata->>'correlation_id' AS correlation_id
    FROM {events}
    WHERE tenant_id = w.tenant_id AND aggregate_id = w.aggregate_id
        AND metadata->>'causation_id' = w.causation_id
) AS e
ORDER BY w.ordinal, e.version
"""
# Until the transaction ends: no relay sends what it has not committed yet, or what the backup had waiting.
_TAKE_LOCKS = "SELECT bool_and(pg_try_advisory_xact_lock($1, shard)) FROM generate_series(0, $2) AS shard"
_PAGE = 500
_BEFORE_ALL: CommandKey = ("", UUID(int=0))


class _Commands:
    """The commands as they came, partition by partition."""

    def __init__(self, work: Work) -> None:
        self._work, self._conn = work, work.conn
        self._tables = work.context.store.tables
        self._scratch = Scratch(work)
        self._answering = Answering(work)
        # By order: commands that nothing is known of, while nothing of a later one of their order is.
        self._open: dict[StreamKey, list[Request]] = defaultdict(list)
        self._seen: set[CommandKey] = set()

    async def answer(self, requests: Sequence[Request]) -> int:
        """Store the outcomes of a page's commands, as far as anything is known; return how many."""
        keys = [(request.tenant_id, request.command_id) for request in requests]
        _, known = await self._work.context.store.find_outcomes(self._conn, keys)
        told, with_events = await self._scratch.outcomes(keys), await self._scratch.with_events(keys)
        new: dict[CommandKey, Request] = {}
        for key, request in zip(keys, requests, strict=True):
            orders = {told[key].order_id if key in told else None, with_events.get(key)} - {None}
            if orders - {request.aggregate_id}:
                # The id used again for another order: the command that is told of is another one.
                continue
            # Of a command that was sent twice, the first.
            if key not in known and key not in self._seen:
                new.setdefault(key, request)
        happened = await _happened(self._work, new)
        answers: list[Answer] = []
        for key, request in new.items():
            answer = await self._answering.answer(request, told.get(key), happened.get(key, ()))
            if answer is None:
                self._seen.add(key)
                self._open[_order(request)].append(request)
                continue
            answers += await self._those_before(request, answer, happened.get(key, ()))
            answers.append(answer)
            # At once: the next command of the order builds on them.
            await insert_events(self._conn, self._tables, answer.events)
        await insert_outcomes(self._conn, self._tables, [answer.dated for answer in answers])
        messages = [each for answer in answers for each in answer.messages]
        await self._work.context.store.append(self._conn, Batch(messages=messages))
        return len(answers)

    def leave_open(self, again: "_Again") -> None:
        """Leave to the command service what is still open at the end of a partition."""
        for requests in self._open.values():
            for request in requests:
                again.note(request.record)
        self._open.clear()
        self._seen.clear()

    async def _those_before(
        self, request: Request, answer: Answer, happened: Sequence[Happened]
    ) -> list[Answer]:
        """Answer the open commands of an order that came before one with effects: they had none."""
        key = _order(request)
        version = answer.dated.outcome.version
        if key not in self._open or version is None:
            return []
        before = version - len(happened) - len(answer.events)
        answers = []
        for earlier in self._open.pop(key):
            found = await self._answering.answer_without_effect(earlier, before, answer.dated.decided_at)
            if found is None:
                self._open[key].append(earlier)
            else:
                answers.append(found)
        return answers


def _order(request: Request) -> StreamKey:
    """Return whose turn a command waits for; those that name no order wait for nothing."""
    return StreamKey(request.tenant_id, request.aggregate_id or UUID(int=0))


async def execute(work: Work, found: Survey, tenants: Mapping[str, TenantSettings]) -> Offsets:
    """Write what `survey` has found on this connection and move the command service's offsets.

    Returns partitions of the topic of commands and the first offsets to handle again. The events that are
    missing are what keeps the services from starting, so they come in the same commit as all the rest.
    Offsets that are moved before a commit that fails do no harm: what is handled again is answered again.

    Raises Contradiction, AlreadyUnderWay while a service runs, KafkaError and OSError.
    """
    async with work.conn.transaction():
        if not await work.conn.fetchval(_TAKE_LOCKS, SENDERS_LOCK, SHARDS - 1):
            raise AlreadyUnderWay("relay_runs_in_recovery", "An outbox relay runs.")
        if found.events:
            await _restore_events(work, found)
        again = await _restore_outcomes(work, tenants)
        await _restore_expired(work)
        # Whoever has started meanwhile was not refused for long: it must not be at work over the commit.
        await check_nobody_appends(work)
        await move_group(work.kafka, work.topics, work.context.command_group, again)
    return again


async def _restore_events(work: Work, found: Survey) -> None:
    done = 0
    async for inserted in insert_lost_events(work.conn, work.context.store.tables):
        done += inserted
        work.tell(f"{done:,} of {found.events:,} events are back")
    if done != found.events:
        raise Contradiction([f"{found.events - done:,} events have others in their place since the survey"])


class _Again:
    """The first record of each partition, of those handled before, that has to be handled again."""

    def __init__(self, handled: Offsets) -> None:
        self._handled = handled
        self.first: dict[int, int] = {}

    def note(self, record: Record) -> None:
        partition, offset = record.partition, record.offset
        if offset < self._handled.get(partition, 0):
            self.first[partition] = min(self.first.get(partition, offset), offset)


async def _restore_outcomes(work: Work, tenants: Mapping[str, TenantSettings]) -> Offsets:
    again, letters = _Again(await handled_up_to(work)), await dead_letters(work)
    done, commands, number = 0, _Commands(work), 0
    async for records in work.whole(work.topics.commands):
        if records[0].partition != number:
            commands.leave_open(again)
            number = records[0].partition
        requests = []
        for record in records:
            try:
                requests.append(read_request(record, work.context, tenants))
            except NamesNoCommand:
                if (record.partition, record.offset) not in letters:
                    again.note(record)
        done += await commands.answer(requests)
        work.tell(f"{done:,} outcomes are back")
    commands.leave_open(again)
    return again.first


async def _restore_expired(work: Work) -> None:
    """Store what is told of commands that are no longer on their topic, whatever they asked for."""
    conn, tables, scratch, after = work.conn, work.context.store.tables, Scratch(work), _BEFORE_ALL
    while left := await scratch.outcomes_left(after, _PAGE):
        after = left[-1].key
        requests = {told.key: _request(*told.key, told.order_id) for told in left}
        happened = await _happened(work, requests)
        rows = []
        for told in left:
            events = happened.get(told.key, [])
            if told.event_ids != tuple(event.event_id for event in events):
                raise Contradiction(
                    [f"the events of the command {told.key[1]} are on no topic, nor is it itself"]
                )
            rows.append(_expired(requests[told.key], told, events))
        await insert_outcomes(conn, tables, rows)
    after = _BEFORE_ALL
    while unanswered := await scratch.unanswered_left(after, _PAGE):
        after = (unanswered[-1]["tenant_id"], unanswered[-1]["command_id"])
        requests = {(row[0], row[1]): _request(*row) for row in unanswered}
        for key, events in (await _happened(work, requests)).items():
            request = requests[key]._replace(correlation_id=events[0].correlation_id)
            last = events[-1]
            data = {"version": last.version, "event_ids": [str(event.event_id) for event in events]}
            headers, value = outcome_content(
                request, work.context.type_prefix, ACCEPTED, data, last.recorded_at
            )
            ids = tuple(event.event_id for event in events)
            told = LostOutcome(
                key, request.aggregate_id, headers, value, last.recorded_at, None, last.version, ids
            )
            await insert_outcomes(conn, tables, [_expired(request, told, events)])
            message = outcome_message(work.topics.outcomes, request, headers, value)
            await work.context.store.append(conn, Batch(messages=[message]))


def _expired(request: Request, told: LostOutcome, events: Sequence[Happened]) -> DatedOutcome:
    known = request._replace(actor=events[0].actor if events else "")
    return DatedOutcome(stored_outcome(known, told), told.decided_at)


def _request(tenant_id: str, command_id: UUID, order_id: UUID | None) -> Request:
    """Name a command of which no more than that is known."""
    return Request(
        record=None,  # nothing is left of it
        tenant_id=tenant_id,
        command_id=command_id,
        command_ref=str(command_id),
        subject=None if order_id is None else str(order_id),
        correlation_id=str(command_id),
        fingerprint=UNKNOWN_FINGERPRINT,
        aggregate_id=order_id,
        command_type="",
        actor="",
        occurred_at=None,
        data=None,
    )


async def _happened(work: Work, requests: Mapping[CommandKey, Request]) -> dict[CommandKey, list[Happened]]:
    """Return the events that are in the log of commands, oldest first."""
    of_orders = [(key, request) for key, request in requests.items() if request.aggregate_id is not None]
    rows = await work.conn.fetch(
        work.context.store.tables.sql(_HAPPENED),
        [request.tenant_id for _, request in of_orders],
        [request.aggregate_id for _, request in of_orders],
        [request.command_ref for _, request in of_orders],
    )
    found: dict[CommandKey, list[Happened]] = defaultdict(list)
    for ordinal, *event in rows:
        found[of_orders[ordinal - 1][0]].append(Happened(*event))
    return found


async def move_group(kafka: KafkaConnection, topics: Topics, group: str, offsets: Offsets) -> None:
    """Have the command service, which must not run, go on from these offsets. Raises KafkaError."""
    if not offsets:
        return
    consumer = kafka.consumer(group_id=topics.group(group))
    await consumer.start()
    try:
        places = {TopicPartition(topics.commands, number): offset for number, offset in offsets.items()}
        consumer.assign(list(places))
        await consumer.commit(places)
    finally:
        await stop_consumer(consumer)
