"""Decides a batch of commands against the states they find: no I/O, so that a conflict can decide anew."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic_core import to_json

from commands.context import Context
from commands.messages import dead_letter, derived_id, event_message, outcome_content, outcome_message
from commands.requests import CLOCK_AHEAD, COMMAND_ID_REUSED, Record, Request
from eventstore import (
    Aggregate,
    Append,
    Batch,
    Loaded,
    NewEvent,
    OutboxMessage,
    Outcome,
    StoredOutcome,
    StreamKey,
)
from messaging import Topics

S = TypeVar("S")
CommandKey = tuple[str, UUID]
ACCEPTED, REJECTED = "CommandAccepted", "CommandRejected"
REPEATED, DEAD_LETTERED = "repeated", "dead_lettered"
UNKNOWN_FINGERPRINT = b""
"""Of a command that a recovery knew by its outcome alone: what comes again under its id is taken for it."""


@dataclass(slots=True)
class _Working(Generic[S]):
    """One aggregate while the batch is decided."""

    loaded: Loaded[S]
    aggregate: Aggregate[S, Any]
    recorded_at: datetime
    max_occurred_at: datetime | None
    events: list[NewEvent] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Decided(Generic[S]):
    """What to store for a batch, the states once it is stored, and what became of each request."""

    batch: Batch
    states: Mapping[StreamKey, Loaded[S]]
    results: list[tuple[Request, str]]
    """Each request with its result: accepted, repeated, or the code it was refused with."""
    clocks_ahead: list[tuple[Request, int]]
    """What was not a repeat and came from a clock too far ahead, with by how many seconds."""


class Deciding(Generic[S]):
    """The decisions of one batch, made in the order the commands came."""

    def __init__(
        self,
        context: Context[S],
        topics: Topics,
        *,
        known: Mapping[CommandKey, StoredOutcome],
        states: Mapping[StreamKey, Loaded[S]],
        now: datetime,
    ) -> None:
        self._store, self._domain, self._type_prefix = context.store, context.domain, context.type_prefix
        self._topics = topics
        self._known = dict(known)
        self._states = states
        self._now = now
        self._working: dict[StreamKey, _Working[S]] = {}
        self._outcomes: list[Outcome] = []
        self._messages: list[OutboxMessage] = []
        self._results: list[tuple[Request, str]] = []
        self._clocks_ahead: list[tuple[Request, int]] = []

    def dead_letters(self, records: Iterable[tuple[Record, str]]) -> None:
        """Send records that name no command to the dead letters, each with its reason."""
        self._messages.extend(
            dead_letter(self._topics.dead_letters, record, reason) for record, reason in records
        )

    def decide(self, request: Request) -> None:
        """Decide one request: events and an outcome, a refusal, or the stored outcome once more."""
        command_key = (request.tenant_id, request.command_id)
        stored = self._known.get(command_key)
        if stored is not None:
            self._repeat(request, stored)
            return
        code: str | None = None
        version: int | None = None
        try:
            version, event_ids = self._accept(request)
        except self._domain.Rejected as refusal:
            headers, value = self._refused(request, refusal)
            code = str(refusal.code)
        else:
            headers, value = outcome_content(
                request, self._type_prefix, ACCEPTED, {"version": version, "event_ids": event_ids}, self._now
            )
        self._outcomes.append(request.outcome(code, version, headers, value))
        self._known[command_key] = StoredOutcome(request.fingerprint, headers, value)
        self._messages.append(outcome_message(self._topics.outcomes, request, headers, value))
        self._results.append((request, code or "accepted"))
        if (ahead := request.clock_ahead(self._now)) is not None:
            self._clocks_ahead.append((request, ahead))

    def _repeat(self, request: Request, stored: StoredOutcome) -> None:
        if stored.fingerprint in {request.fingerprint, UNKNOWN_FINGERPRINT}:
            headers, value, result = stored.headers, stored.value, REPEATED
        else:
            # Not stored: the id's own outcome stands.
            refusal = self._domain.Rejected(COMMAND_ID_REUSED)
            headers, value = self._refused(request, refusal, reused=True)
            result = COMMAND_ID_REUSED
        self._messages.append(outcome_message(self._topics.outcomes, request, headers, value))
        self._results.append((request, result))

    def _refused(self, request: Request, refusal: Any, *, reused: bool = False) -> tuple[str, bytes]:  # noqa: ANN401 - the domain's
        data = {"code": str(refusal.code), "message": refusal.message}
        return outcome_content(request, self._type_prefix, REJECTED, data, self._now, reused=reused)

    def _accept(self, request: Request) -> tuple[int, list[str]]:
        """Return the version after the command and the ids of its events; raises the domain's Rejected."""
        if request.command is None or request.aggregate_id is None or request.subject is None:
            raise request.refusal
        if request.tenant.refuse_clock_ahead and (ahead := request.clock_ahead(self._now)) is not None:
            raise self._domain.Rejected(
                CLOCK_AHEAD,
                f"The terminal's clock is {ahead:,} seconds ahead of ours, and at most "
                f"{request.tenant.clock_ahead_limit:,} are allowed: set it, then send this under a new id.",
            )
        working = self._aggregate(StreamKey(request.tenant_id, request.aggregate_id))
        event_ids = []
        for number, event in enumerate(self._domain.decide(request.command, working.aggregate.state)):
            working.aggregate.record(event)
            event_id = derived_id(request, str(number))
            compensated = self._domain.event_metadata(event)
            new = self._new_event(request, event, event_id, compensated)
            working.events.append(new)
            working.max_occurred_at = max(working.max_occurred_at or event.occurred_at, event.occurred_at)
            event_ids.append(event_id)
            self._messages.append(
                event_message(
                    self._topics.events,
                    request,
                    new,
                    version=working.aggregate.version,
                    event_id=event_id,
                    message_type=self._type_prefix + new.event_type,
                    aggregate_id=request.subject,
                    recorded_at=working.recorded_at,
                    compensated=compensated,
                )
            )
        return working.aggregate.version, event_ids

    def _aggregate(self, key: StreamKey) -> _Working[S]:
        working = self._working.get(key)
        if working is None:
            loaded = self._states[key]
            working = self._working[key] = _Working(
                loaded=loaded,
                aggregate=Aggregate(loaded.state, self._domain.evolve, version=loaded.version),
                # The database's clock, held so that it never runs backwards within a stream.
                recorded_at=max(self._now, loaded.recorded_at or self._now),
                max_occurred_at=loaded.max_occurred_at,
            )
        return working

    def _new_event(
        self,
        request: Request,
        event: Any,  # noqa: ANN401 - the domain's
        event_id: str,
        compensated: Mapping[str, Sequence[int]],
    ) -> NewEvent:
        event_type, schema_version, payload = self._domain.encode_event(event)
        metadata = {
            "actor": request.actor,
            "correlation_id": request.correlation_id,
            "causation_id": request.command_ref,
            **compensated,
        }
        return NewEvent(
            event_id=event_id,
            event_type=event_type,
            schema_version=schema_version,
            payload=payload,
            metadata=to_json(metadata).decode(),
            occurred_at=event.occurred_at,
        )

    def result(self) -> Decided[S]:
        """Return what the decisions so far come to."""
        appends, unchanged, snapshots = [], {}, []
        states = {}
        for key, working in self._working.items():
            loaded = working.loaded
            if not working.events:
                unchanged[key] = loaded.version
                states[key] = loaded
                continue
            appends.append(Append(key, loaded.version, working.events, working.recorded_at))
            after = Loaded(
                working.aggregate.state,
                working.aggregate.version,
                working.recorded_at,
                working.max_occurred_at,
            )
            states[key] = after
            if self._store.snapshot_due(loaded.version, after.version):
                snapshots.append(self._store.snapshot(key, after))
        return Decided(
            Batch(
                appends=appends,
                unchanged=unchanged,
                outcomes=self._outcomes,
                messages=self._messages,
                snapshots=snapshots,
            ),
            states,
            self._results,
            self._clocks_ahead,
        )
