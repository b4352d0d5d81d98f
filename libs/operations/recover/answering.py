"""What became of a command whose outcome is lost: told by the topics, else decided as it was then."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from commands import Deciding, Request
from eventstore import OutboxMessage, Outcome, StreamKey, VersionNotFound
from operations.errors import Contradiction
from operations.recover.lost_messages import Told
from operations.recover.work import Work
from operations.recover.writing import LostEvent

_OTHERWISE = "is this the build, and are these the settings (TILLSTREAM_TENANTS), that it was decided with?"


class Happened(NamedTuple):
    """An event that is in the log: what a command led to."""

    version: int
    event_id: UUID
    recorded_at: datetime
    actor: str
    correlation_id: str


class Answer(NamedTuple):
    """What became of a command, up to which version if it was accepted, and what of that was on no topic.

    That is its `outcome` (None where the topic has it), events of it, and what has to be sent now.
    """

    request: Request
    decided_at: datetime
    version: int | None
    outcome: Outcome | None = None
    events: Sequence[LostEvent] = ()
    messages: Sequence[OutboxMessage] = ()


def as_told(request: Request, told: Told) -> Answer:
    """Answer a command by its outcome on the topic."""
    return Answer(request, told.decided_at, told.version)


class Answering:
    """Answers one command at a time, in the order they came. It reads the log and writes nothing."""

    def __init__(self, work: Work) -> None:
        self._conn, self._context, self._topics = work.conn, work.context, work.topics

    async def answer(
        self, request: Request, told: Told | None, happened: Sequence[Happened]
    ) -> Answer | None:
        """Answer a command by its outcome on the topic and its events in the log; None without either.

        The two are sent at the same time, so a relay that died in mid-send may have left one without the
        other, or the first of two events. What is missing is decided once more, against the order as it was:
        it comes out the same, ids and times included. Raises Contradiction where it doesn't.
        """
        ids = tuple(each.event_id for each in happened)
        if told is not None and (told.code is not None or told.event_ids == ids):
            return as_told(request, told)
        if happened:
            before, at = happened[0].version - 1, happened[0].recorded_at
        elif told is not None and told.version is not None:
            before, at = told.version - len(told.event_ids), told.decided_at
        else:
            return None
        answer = await self._decide(request, before, at if told is None else told.decided_at, ids)
        if answer is None or (told is not None and _event_ids(answer, happened) != told.event_ids):
            raise Contradiction(
                [f"the command {request.command_id} comes out otherwise than told: {_OTHERWISE}"]
            )
        if told is None:
            return answer
        # Its outcome is on the topic.
        return as_told(request, told)._replace(events=answer.events, messages=answer.messages[:-1])

    async def answer_without_effect(self, request: Request, version: int, at: datetime) -> Answer | None:
        """Answer a command that led to nothing when its order was at a version; None where it would have."""
        answer = await self._decide(request, version, at, ())
        return None if answer is None or answer.events else answer

    async def _decide(
        self, request: Request, before: int, at: datetime, happened: Sequence[UUID]
    ) -> Answer | None:
        """Decide a command as of a version and a time; None unless its first events are the given ones."""
        if request.aggregate_id is None:
            return None
        key = StreamKey(request.tenant_id, request.aggregate_id)
        try:
            loaded = await self._context.store.load_at_version(self._conn, key, before)
        except VersionNotFound as error:
            nowhere = f"the command {request.command_id} follows events that are nowhere: {error}"
            raise Contradiction([nowhere]) from error
        deciding: Deciding[Any] = Deciding(
            self._context, self._topics, known={}, states={key: loaded}, now=at
        )
        deciding.decide(request)
        batch = deciding.result().batch
        events = [
            LostEvent(key, version, event._replace(event_id=UUID(str(event.event_id))), append.recorded_at)
            for append in batch.appends
            for version, event in enumerate(append.events, before + 1)
        ]
        if tuple(lost.event.event_id for lost in events[: len(happened)]) != tuple(happened):
            return None
        missing = events[len(happened) :]
        newest = await self._context.store.newest_versions(self._conn, [key])
        if missing and newest.get(key, 0) != missing[0].version - 1:
            return None
        (outcome,) = batch.outcomes
        messages = batch.messages[len(happened) :]
        return Answer(request, at, outcome.version, outcome, missing, messages)


def _event_ids(answer: Answer, happened: Sequence[Happened]) -> tuple[UUID | str, ...]:
    return (*(each.event_id for each in happened), *(lost.event.event_id for lost in answer.events))
