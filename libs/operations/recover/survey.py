"""Reads the topics whole and finds what the database lacks of them. It writes nothing but scratch tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from aiokafka import TopicPartition

from commands import NamesNoCommand, read_name
from eventstore import decode_headers, encode_headers
from messaging import TopicReader, committed_offsets
from operations.recover.comparing import compare_events, compare_outcomes, unknown
from operations.recover.lost_messages import (
    CommandKey,
    Record,
    TopicEvent,
    TopicOutcome,
    place_of,
    read_event,
    read_outcome,
)
from operations.recover.plain_records import plain_event, plain_name, plain_outcome
from operations.recover.scratch import Scratch
from operations.recover.work import Behind, Work

# What contradicts each other may be all that there is, where a database is compared with foreign topics.
_TOLD = 100


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

    def contradict(self, *told: str) -> None:
        """Note what contradicts each other: the first hundred, which is enough to see what it is about."""
        self.contradictions += told[: _TOLD - len(self.contradictions)]


async def survey(work: Work) -> Survey:
    """Find what is lost. The scratch tables of this connection hold it afterwards.

    Raises KafkaError and OSError.
    """
    found, scratch = Survey(), Scratch(work)
    await scratch.make()
    await _survey_events(work, scratch, found)
    await _survey_outcomes(work, scratch, found)
    await _survey_commands(work, found)
    return found


async def _survey_events(work: Work, scratch: Scratch, found: Survey) -> None:
    async def compare(events: Sequence[TopicEvent]) -> None:
        lacking = []
        for place, there in await compare_events(work, events):
            lost = events[place]
            if there is None:
                lacking.append(lost)
                continue
            found.contradict(
                f"{lost.place} has event {lost.event_id} as version {lost.version} of"
                f" {work.context.store.tables.aggregate} {lost.aggregate_id}, the database has event {there}"
            )
        await scratch.add_events(lacking)

    async with Behind() as behind:
        async for records in work.whole(work.topics.events):
            await behind.do(compare, list(_readable(work, records, found)))
    found.events = await scratch.events()
    found.contradict(*await scratch.judge_events())


def _readable(work: Work, records: Sequence[Record], found: Survey) -> Iterator[TopicEvent]:
    prefix = work.context.type_prefix
    for record in records:
        try:
            yield plain_event(record, prefix) or read_event(record, work.context)
        except ValueError as error:
            found.contradict(f"{place_of(record)} is no event: {error}")


async def _survey_outcomes(work: Work, scratch: Scratch, found: Survey) -> None:
    async def compare(named: Sequence[tuple[CommandKey, str, Record]]) -> None:
        keys = [key for key, _, _ in named]
        digests = [_digest(headers, record.value or b"") for _, headers, record in named]
        lacking, lacking_digests, differing = [], [], []
        for place, has_another in await compare_outcomes(work, keys, digests):
            _, headers, record = named[place]
            outcome = plain_outcome(record, headers) or _outcome(record, headers, found)
            if outcome is not None and has_another:
                differing.append(outcome)
            elif outcome is not None:
                lacking.append(outcome)
                lacking_digests.append(digests[place])
        await scratch.add_outcomes(lacking, lacking_digests)
        await _tell_differing(work, differing, found)

    async with Behind() as behind:
        async for records in work.whole(work.topics.outcomes):
            named = []
            for record in records:
                headers, key = encode_headers(record.headers), plain_name(record, "ce_causationid")
                if key is None and (outcome := _outcome(record, headers, found)) is not None:
                    key = (outcome.tenant_id, outcome.command_id)
                if key is not None:
                    named.append((key, headers, record))
            await behind.do(compare, named)
    found.contradict(*await scratch.judge_outcomes())
    found.outcomes, found.to_answer = await scratch.counts()


def _digest(headers: str, value: bytes) -> str:
    """Return what tells one outcome's message from another, as the database reckons it too."""
    return sha256(headers.encode() + value).hexdigest()


def _outcome(record: Record, headers: str, found: Survey) -> TopicOutcome | None:
    try:
        return read_outcome(record, headers)
    except (LookupError, TypeError, ValueError) as error:
        found.contradict(f"{place_of(record)} is no outcome: {error!r}")
        return None


async def _tell_differing(work: Work, outcomes: Sequence[TopicOutcome], found: Survey) -> None:
    """Tell of outcomes that the database has another of; the same in other JSON text is no other."""
    if not outcomes:
        return
    keys = [(outcome.tenant_id, UUID(outcome.command_id)) for outcome in outcomes]
    _, known = await work.context.store.find_outcomes(work.conn, keys)
    for key, outcome in zip(keys, outcomes, strict=True):
        stored = known[key]
        if (decode_headers(stored.headers), stored.value) != (decode_headers(outcome.headers), outcome.value):
            found.contradict(
                f"{work.topics.outcomes} and the database have different outcomes of the command {key[1]}"
            )


async def _survey_commands(work: Work, found: Survey) -> None:
    handled = await handled_up_to(work)
    letters = await dead_letters(work)

    async def look_up(named: Sequence[tuple[CommandKey, Record]]) -> None:
        for place in await unknown(work, [key for key, _ in named]):
            _again(found, named[place][1])

    async with Behind() as behind:
        async for records in work.whole(work.topics.commands):
            named = []
            for record in records:
                if record.offset >= handled.get(record.partition, 0):
                    continue
                if (key := name_of(record)) is not None:
                    named.append((key, record))
                elif (record.partition, record.offset) not in letters:
                    _again(found, record)
            await behind.do(look_up, named)


def _again(found: Survey, record: Record) -> None:
    found.commands_again += 1
    first = found.handled_again_from.get(record.partition, record.offset)
    found.handled_again_from[record.partition] = min(first, record.offset)


def name_of(record: Record) -> CommandKey | None:
    """Read which command a record is; None for a record that names none."""
    if (name := plain_name(record)) is not None:
        return name
    try:
        _, tenant_id, command_id = read_name(record)
    except NamesNoCommand:
        return None
    return tenant_id, str(command_id)


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
