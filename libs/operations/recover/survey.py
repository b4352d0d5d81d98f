"""Reads the topics whole and finds what the database lacks of them. It writes nothing but scratch tables."""

from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition

from commands import Context, NamesNoCommand, Request, read_request
from eventstore import decode_headers
from messaging import TopicReader, committed_offsets
from operations.recover.lost_messages import LostEvent, LostOutcome, Record, outcome_of_record, read_event
from operations.recover.scratch import Scratch
from operations.recover.work import Work


@dataclass
class Survey:
    """What the topics hold that the database lacks.

    `handled_again_from` maps a partition of the commands to the first offset that has to be handled again.
    """

    events: int = 0
    outcomes: int = 0
    # Commands whose events are there, and whose outcome is on no topic.
    to_answer: int = 0
    commands_again: int = 0
    handled_again_from: dict[int, int] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)


async def survey(work: Work) -> Survey:
    """Find what is lost. The scratch tables of this connection hold it afterwards.

    Raises KafkaError and OSError.
    """
    found, scratch = Survey(), Scratch(work)
    await scratch.make()
    await _survey_events(work, scratch, found)
    await _survey_outcomes(work, scratch, found)
    found.contradictions += await scratch.judge_outcomes()
    found.outcomes, found.to_answer = await scratch.counts()
    await _survey_commands(work, scratch, found)
    return found


async def _survey_events(work: Work, scratch: Scratch, found: Survey) -> None:
    topic = work.topics.events
    read = 0
    async for records in work.whole(topic):
        events = _readable(work, records, found)
        stored = await work.context.store.find_event_ids(
            work.conn, [(event.key, event.version) for event in events]
        )
        _, known = await work.context.store.find_outcomes(
            work.conn, [(event.key.tenant_id, event.command_id) for event in events]
        )
        await scratch.add_unanswered(
            event for event in events if (event.key.tenant_id, event.command_id) not in known
        )
        await scratch.add_events(event for event in events if (event.key, event.version) not in stored)
        for lost in events:
            there = stored.get((lost.key, lost.version))
            if there is not None and there != lost.event.event_id:
                found.contradictions.append(
                    f"{lost.place} has event {lost.event.event_id} as version {lost.version} of"
                    f" {work.context.store.tables.aggregate} {lost.key.aggregate_id}, the database has event"
                    f" {there}"
                )
        read += len(records)
        work.tell(f"{topic}: {read:,} records")
    found.events = await scratch.events()
    found.contradictions += await scratch.judge_events()


def _readable(work: Work, records: list[Record], found: Survey) -> list[LostEvent]:
    events = []
    for record in records:
        try:
            events.append(read_event(record, work.context))
        except ValueError as error:
            place = f"{record.topic}/{record.partition}/{record.offset}"
            found.contradictions.append(f"{place} is no event: {error}")
    return events


async def _survey_outcomes(work: Work, scratch: Scratch, found: Survey) -> None:
    topic, read = work.topics.outcomes, 0
    async for records in work.whole(topic):
        outcomes: list[LostOutcome] = []
        for record in records:
            try:
                if outcome := outcome_of_record(record):
                    outcomes.append(outcome)
            except (LookupError, ValueError) as error:
                place = f"{record.topic}/{record.partition}/{record.offset}"
                found.contradictions.append(f"{place} is no outcome: {error!r}")
        _, known = await work.context.store.find_outcomes(work.conn, [outcome.key for outcome in outcomes])
        await scratch.add_outcomes(outcome for outcome in outcomes if outcome.key not in known)
        for outcome in outcomes:
            stored = known.get(outcome.key)
            if stored is not None and (decode_headers(stored.headers), stored.value) != (
                decode_headers(outcome.headers),
                outcome.value,
            ):
                found.contradictions.append(
                    f"{topic} and the database have different outcomes of the command {outcome.key[1]}"
                )
        read += len(records)
        work.tell(f"{topic}: {read:,} records")


async def _survey_commands(work: Work, scratch: Scratch, found: Survey) -> None:
    handled = await handled_up_to(work)
    letters = await dead_letters(work)
    async for records in work.whole(work.topics.commands):
        requests = []
        for record in records:
            if record.offset >= handled.get(record.partition, 0):
                continue
            request = named(record, work.context)
            if request is not None:
                requests.append(request)
            elif (record.partition, record.offset) not in letters:
                _again(found, record)
        keys = [(request.tenant_id, request.command_id) for request in requests]
        _, known = await work.context.store.find_outcomes(work.conn, keys)
        kept, with_events = await scratch.outcomes(keys), await scratch.with_events(keys)
        there = known.keys() | kept.keys() | with_events.keys()
        for request, key in zip(requests, keys, strict=True):
            if key not in there:
                _again(found, request.record)
        work.tell(f"{work.topics.commands}: {found.commands_again:,} commands to handle again")


def _again(found: Survey, record: Record) -> None:
    found.commands_again += 1
    first = found.handled_again_from.get(record.partition, record.offset)
    found.handled_again_from[record.partition] = min(first, record.offset)


def named(record: Record, context: Context[Any]) -> Request | None:
    """Read a command without what it would be decided by; None for a record that names none."""
    try:
        return read_request(record, context, {})
    except NamesNoCommand:
        return None


async def handled_up_to(work: Work) -> dict[int, int]:
    """Return partition → the offset that the command service goes on from, where it has one."""
    topic = work.topics.commands
    async with TopicReader.open(work.kafka, topic) as reader:
        partitions = [TopicPartition(topic, number) for number in reader.ends]
    committed = await committed_offsets(work.kafka, work.topics.group(work.context.command_group), partitions)
    return {partition.partition: found.offset for partition, found in committed.items()}


async def dead_letters(work: Work) -> set[tuple[int, int]]:
    """Return where the records of the topic of commands lay that are on the topic of dead letters."""
    found = set()
    async for records in work.whole(work.topics.dead_letters):
        for record in records:
            headers = dict(record.headers)
            if headers.get("deadletter_topic") == work.topics.commands.encode():
                found.add((int(headers["deadletter_partition"]), int(headers["deadletter_offset"])))
    return found
