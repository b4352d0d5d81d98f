"""Decides a batch of commands against the orders they name: no I/O, so that a conflict can decide anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from pydantic_core import to_json

import orders
from commands.messages import dead_letter, derived_id, event_message, outcome_content, outcome_message
from commands.requests import Record, Request
from eventstore import (
    Aggregate,
    Append,
    Batch,
    EventStore,
    Loaded,
    NewEvent,
    OutboxMessage,
    Outcome,
    StoredOutcome,
    StreamKey,
)
from messaging import Topics
from orders import Event, Order, Rejected, RejectionCode

CommandKey = tuple[str, UUID]
ACCEPTED, REJECTED = "CommandAccepted", "CommandRejected"
REPEATED, DEAD_LETTERED = "repeated", "dead_lettered"
UNKNOWN_FINGERPRINT = b""
"""Of a command that a recovery knew by its outcome alone: what comes again under its id is taken for it."""


@dataclass(slots=True)
class _Working:
    """One order while the batch is decided."""

    loaded: Loaded[Order]
    aggregate: Aggregate[Order, Event]
    recorded_at: datetime
    max_occurred_at: datetime | None
    events: list[NewEvent] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Decided:
    """What to store for a batch, the orders' states once it is stored, and what became of each request."""

    batch: Batch
    states: Mapping[StreamKey, Loaded[Order]]
    results: list[tuple[Request, str]]
    """Each request with its result: accepted, repeated, or the code it was refused with."""


class Deciding:
    """The decisions of one batch, made in the order the commands came."""

    def __init__(
        self,
        store: EventStore[Order],
        topics: Topics,
        *,
        known: Mapping[CommandKey, StoredOutcome],
        states: Mapping[StreamKey, Loaded[Order]],
        now: datetime,
    ) -> None:
        self._store = store
        self._topics = topics
        self._known = dict(known)
        self._states = states
        self._now = now
        self._working: dict[StreamKey, _Working] = {}
        self._outcomes: list[Outcome] = []
        self._messages: list[OutboxMessage] = []
        self._results: list[tuple[Request, str]] = []

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
        order_version: int | None = None
        try:
            version, event_ids = self._accept(request)
        except Rejected as refusal:
            headers, value = self._refused(request, refusal)
            code = str(refusal.code)
        else:
            headers, value = outcome_content(
                request,
                ACCEPTED,
                {"version": version, "event_ids": event_ids},
                self._now,
            )
            order_version = version
        self._outcomes.append(
            Outcome(
                tenant_id=request.tenant_id,
                command_id=request.command_id,
                aggregate_id=request.order_id,
                command_type=request.command_type,
                actor=request.actor,
                data=request.data,
                occurred_at=request.occurred_at,
                fingerprint=request.fingerprint,
                code=code,
                version=order_version,
                headers=headers,
                value=value,
            )
        )
        self._known[command_key] = StoredOutcome(request.fingerprint, headers, value)
        self._messages.append(outcome_message(self._topics.outcomes, request, headers, value))
        self._results.append((request, code or "accepted"))

    def _repeat(self, request: Request, stored: StoredOutcome) -> None:
        if stored.fingerprint in {request.fingerprint, UNKNOWN_FINGERPRINT}:
            headers, value, result = stored.headers, stored.value, REPEATED
        else:
            # Not stored: the id's own outcome stands.
            code = RejectionCode.COMMAND_ID_REUSED
            # One answer for each other body, each with an id of its own.
            headers, value = self._refused(request, Rejected(code), f":{request.fingerprint.hex()}")
            result = str(code)
        self._messages.append(outcome_message(self._topics.outcomes, request, headers, value))
        self._results.append((request, result))

    def _refused(self, request: Request, refusal: Rejected, of: str = "") -> tuple[str, bytes]:
        data = {"code": str(refusal.code), "message": refusal.message}
        return outcome_content(request, REJECTED, data, self._now, of)

    def _accept(self, request: Request) -> tuple[int, list[str]]:
        """Return the order's version after the command and the ids of its events; raises Rejected."""
        if request.command is None or request.subject is None:
            raise request.refusal or Rejected(RejectionCode.MALFORMED)
        working = self._order(StreamKey(request.tenant_id, request.command.order_id))
        event_ids = []
        for number, event in enumerate(orders.decide(request.command, working.aggregate.state)):
            working.aggregate.record(event)
            event_id = derived_id(request, str(number))
            new = self._new_event(request, event, event_id)
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
                    order_id=request.subject,
                    recorded_at=working.recorded_at,
                    compensated=orders.event_metadata(event),
                )
            )
        return working.aggregate.version, event_ids

    def _order(self, key: StreamKey) -> _Working:
        working = self._working.get(key)
        if working is None:
            loaded = self._states[key]
            working = self._working[key] = _Working(
                loaded=loaded,
                aggregate=Aggregate(loaded.state, orders.evolve, version=loaded.version),
                # The database's clock, held so that it never runs backwards within an order.
                recorded_at=max(self._now, loaded.recorded_at or self._now),
                max_occurred_at=loaded.max_occurred_at,
            )
        return working

    def _new_event(self, request: Request, event: Event, event_id: str) -> NewEvent:
        event_type, schema_version, payload = orders.encode_event(event)
        metadata = {
            "actor": request.actor,
            "correlation_id": request.correlation_id,
            "causation_id": request.command_ref,
            **orders.event_metadata(event),
        }
        return NewEvent(
            event_id=event_id,
            event_type=event_type,
            schema_version=schema_version,
            payload=payload,
            metadata=to_json(metadata).decode(),
            occurred_at=event.occurred_at,
        )

    def result(self) -> Decided:
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
        )
