"""Carries a recovery out: all that it brings back in one transaction, or nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from aiokafka import TopicPartition

from commands import (
    ACCEPTED,
    UNKNOWN_FINGERPRINT,
    Request,
    outcome_content,
    outcome_message,
    read_request,
)
from eventstore import SENDERS_LOCK, SHARDS, Batch, StreamKey
from messaging import KafkaConnection, Offsets, Topics, stop_consumer
from operations.errors import AlreadyUnderWay, Contradiction
from operations.recover.answering import Answer, Answering, Happened, as_told
from operations.recover.comparing import Known, known_of
from operations.recover.lost_messages import CommandKey, Record
from operations.recover.republishing import check_nobody_appends
from operations.recover.scratch import Scratch
from operations.recover.survey import Survey, dead_letters, handled_up_to, name_of
from operations.recover.work import Behind, Step, Work
from operations.recover.writing import (
    insert_events,
    insert_lost_events,
    insert_outcomes,
    insert_told_outcomes,
)
from runtime import TenantSettings

_HAPPENED = """
WITH w AS MATERIALIZED (
    SELECT *
    FROM unnest($1::text[], $2::uuid[], $3::text[])
        WITH ORDINALITY AS w (tenant_id, aggregate_id, causation_id, ordinal)
),
e AS MATERIALIZED (
    SELECT o.tenant_id, o.aggregate_id, e.*
    FROM (SELECT DISTINCT tenant_id, aggregate_id FROM w) AS o
    CROSS JOIN LATERAL (
        SELECT version, event_id, recorded_at, metadata->>'actor' AS actor,
            metadata->>'correlation_id' AS correlation_id, metadata->>'causation_id' AS causation_id
        FROM {events}
        WHERE tenant_id = o.tenant_id AND aggregate_id = o.aggregate_id
    ) AS e
)
SELECT ordinal, version, event_id, recorded_at, actor, correlation_id
FROM w JOIN e USING (tenant_id, aggregate_id, causation_id)
ORDER BY ordinal, version
"""
# Until the transaction ends: no relay sends what it has not committed yet, or what the backup had waiting.
_TAKE_LOCKS = "SELECT bool_and(pg_try_advisory_xact_lock($1, shard)) FROM generate_series(0, $2) AS shard"
_PAGE = 2_000
_BEFORE_ALL: CommandKey = ("", str(UUID(int=0)))


class _Commands:
    """The commands as they came, partition by partition."""

    def __init__(self, work: Work, tenants: Mapping[str, TenantSettings]) -> None:
        self._work, self._tenants = work, tenants
        self._answering = Answering(work)
        # By order: commands that nothing is known of, while nothing of a later one of their order is.
        self._open: dict[StreamKey, list[Request]] = defaultdict(list)
        self._seen: set[CommandKey] = set()

    async def answer(self, named: Sequence[tuple[CommandKey, Record]]) -> list[Answer]:
        """Answer a page's commands, as far as anything is known of them."""
        known = await known_of(self._work, [key for key, _ in named])
        new: dict[CommandKey, tuple[Request, Known]] = {}
        for place, of_it in known.items():
            key, record = named[place]
            # Of a command that was sent twice, the first.
            if key in self._seen or key in new:
                continue
            request = read_request(record, self._work.context, self._tenants)
            orders = {of_it.told and of_it.told.order_id, of_it.order_with_events} - {None}
            # The id used again for another order: the command that is told of is another one.
            if not orders - {request.aggregate_id}:
                new[key] = request, of_it
        happened = await _happened(
            self._work, {key: request for key, (request, of_it) in new.items() if not of_it.complete}
        )
        answers: list[Answer] = []
        for key, (request, of_it) in new.items():
            if of_it.complete and of_it.told is not None:
                answer: Answer | None = as_told(request, of_it.told)
            else:
                answer = await self._answering.answer(request, of_it.told, happened.get(key, ()))
            if answer is None:
                self._seen.add(key)
                self._open[_order(request)].append(request)
                continue
            answers += await self._those_before(answer, of_it, happened.get(key, ()))
            answers.append(answer)
            # At once: the next command of the order builds on them.
            await insert_events(self._work.conn, self._work.context.store.tables, answer.events)
        return answers

    def leave_open(self, again: "_Again") -> None:
        """Leave to the command service what is still open at the end of a partition."""
        for requests in self._open.values():
            for request in requests:
                again.note(request.record)
        self._open.clear()
        self._seen.clear()

    async def _those_before(self, answer: Answer, known: Known, happened: Sequence[Happened]) -> list[Answer]:
        """Answer the open commands of an order that came before one with effects: they had none."""
        key = _order(answer.request)
        if key not in self._open or answer.version is None:
            return []
        in_the_log = len(known.told.event_ids) if known.complete and known.told else len(happened)
        before = answer.version - in_the_log - len(answer.events)
        answers = []
        for earlier in self._open.pop(key):
            found = await self._answering.answer_without_effect(earlier, before, answer.decided_at)
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
        work.tell(Step("events are taken back", done, found.events))
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
    commands, number = _Commands(work, tenants), 0
    async with Behind() as behind:
        async for records in work.whole(work.topics.commands):
            if records[0].partition != number:
                commands.leave_open(again)
                number = records[0].partition
            named = []
            for record in records:
                if (key := name_of(record)) is not None:
                    named.append((key, record))
                elif (record.partition, record.offset) not in letters:
                    again.note(record)
            await behind.wait()
            await behind.do(_write, work, await commands.answer(named))
    commands.leave_open(again)
    return again.first


async def _write(work: Work, answers: Sequence[Answer]) -> None:
    """Store the outcomes, and have sent what was not."""
    tables = work.context.store.tables
    await insert_told_outcomes(work.conn, tables, [each.request for each in answers if each.outcome is None])
    await insert_outcomes(
        work.conn, tables, [(each.outcome, each.decided_at) for each in answers if each.outcome is not None]
    )
    if messages := [message for each in answers for message in each.messages]:
        await work.context.store.append(work.conn, Batch(messages=messages))


async def _restore_expired(work: Work) -> None:
    """Store what is told of commands that are no longer on their topic, whatever they asked for."""
    scratch, tables, after = Scratch(work), work.context.store.tables, _BEFORE_ALL
    while left := await scratch.outcomes_left(after, _PAGE):
        after = list(left)[-1]
        requests = {key: _request(*key, told.order_id) for key, told in left.items()}
        happened = await _happened(work, requests)
        for key, told in left.items():
            events = happened.get(key, [])
            if told.event_ids != tuple(event.event_id for event in events):
                raise Contradiction([f"the events of the command {key[1]} are on no topic, nor is it itself"])
            requests[key] = requests[key]._replace(actor=events[0].actor if events else "")
        await insert_told_outcomes(work.conn, tables, list(requests.values()))
    after = _BEFORE_ALL
    while unanswered := await scratch.unanswered_left(after, _PAGE):
        requests = {
            (tenant_id, id_): _request(tenant_id, id_, order_id) for tenant_id, id_, order_id in unanswered
        }
        after = list(requests)[-1]
        await _write(
            work,
            [
                _of_events(work, requests[key], events)
                for key, events in (await _happened(work, requests)).items()
            ],
        )


def _of_events(work: Work, request: Request, events: Sequence[Happened]) -> Answer:
    """Answer a command that is nowhere by the events that it led to."""
    last = events[-1]
    known = request._replace(actor=events[0].actor, correlation_id=events[0].correlation_id)
    data = {"version": last.version, "event_ids": [str(event.event_id) for event in events]}
    headers, value = outcome_content(known, work.context.type_prefix, ACCEPTED, data, last.recorded_at)
    return Answer(
        known,
        last.recorded_at,
        last.version,
        known.outcome(None, last.version, headers, value),
        messages=[outcome_message(work.topics.outcomes, known, headers, value)],
    )


def _request(tenant_id: str, command_id: str, order_id: UUID | None) -> Request:
    """Name a command of which no more than that is known."""
    return Request(
        record=None,  # nothing is left of it
        tenant_id=tenant_id,
        command_id=UUID(command_id),
        command_ref=command_id,
        subject=None if order_id is None else str(order_id),
        correlation_id=command_id,
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
