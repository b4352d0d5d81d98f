"""A small made-up domain, tallies that amounts are added to: a second aggregate type beside the orders."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time
from typing import Any
from uuid import UUID

from commands import Context
from eventstore import EventStore


@dataclass(frozen=True)
class Tally:
    """Its total, and a trail of every event folded in, so that no two folds look alike by chance."""

    tenant_id: str
    aggregate_id: str
    total: int = 0
    trail: tuple[str, ...] = ()


class TallyType:
    """Amounts were called `by` in schema version 1 of `Added`."""

    name = "tally"
    schema_versions: Mapping[str, int] = {"Added": 2, "Cleared": 1}
    upcasters: Mapping[tuple[str, int], Callable[[dict[str, Any], int, datetime], dict[str, Any]]] = {
        ("Added", 1): lambda payload, version, _: {"amount": payload["by"], "note": f"lifted at {version}"},
    }

    def __init__(self, state_version: int = 1) -> None:
        self.state_version = state_version

    def initial_state(self, tenant_id: str, aggregate_id: UUID) -> Tally:
        return Tally(tenant_id, str(aggregate_id))

    def evolve_stored(
        self,
        state: Tally,
        event_type: str,
        payload: Mapping[str, Any],
        metadata: Mapping[str, Any],
        occurred_at: datetime,
    ) -> Tally:
        total = 0 if event_type == "Cleared" else state.total + payload["amount"]
        step = f"{event_type} {dict(payload)} {metadata.get('undoes', [])} {occurred_at.isoformat()}"
        return replace(state, total=total, trail=(*state.trail, step))

    def dump_state(self, state: Tally) -> str:
        return json.dumps([state.tenant_id, state.aggregate_id, state.total, state.trail])

    def load_state(self, text: str) -> Tally:
        tenant_id, aggregate_id, total, trail = json.loads(text)
        return Tally(tenant_id, aggregate_id, total, tuple(trail))

    def version(self, state: Tally) -> int:
        return len(state.trail)


TALLY = TallyType()


class Rejected(Exception):
    """A command was refused."""

    def __init__(self, code: str, message: str = "") -> None:
        self.code, self.message = code, message or f"The command is refused: {code}."
        super().__init__(self.message)


@dataclass(frozen=True)
class Command:
    command_id: UUID
    tally_id: UUID
    tenant_id: str
    actor: str
    occurred_at: datetime
    data: dict[str, Any]
    expected_version: int | None
    time_zone: str
    day_ends_at: time


@dataclass(frozen=True)
class Event:
    type: str
    payload: dict[str, Any]
    occurred_at: datetime


def parse_command(command_type: str, data: object) -> dict[str, Any]:
    if command_type == "Add" and isinstance(data, dict) and isinstance(data.get("amount"), int):
        return {"type": "Add", "amount": data["amount"]}
    if command_type == "Clear" and data == {}:
        return {"type": "Clear"}
    raise Rejected("malformed", f"{command_type}: must be an amount to add, or nothing to clear")


def canonical_json(data: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in data.items() if name != "type"})


def decide(command: Command, tally: Tally) -> Sequence[Event]:
    if command.data["type"] == "Clear":
        return [Event("Cleared", {}, command.occurred_at)] if tally.total else []
    if command.data["amount"] <= 0:
        raise Rejected("amount_out_of_range")
    return [Event("Added", {"amount": command.data["amount"]}, command.occurred_at)]


def evolve(tally: Tally, event: Event) -> Tally:
    return TALLY.evolve_stored(tally, event.type, event.payload, {}, event.occurred_at)


def decode_event(
    event_type: str, payload: Mapping[str, Any], *, occurred_at: datetime, **_: Sequence[int]
) -> Event:
    return Event(event_type, dict(payload), occurred_at)


def encode_event(event: Event) -> tuple[str, int, str]:
    return event.type, TALLY.schema_versions[event.type], json.dumps(event.payload)


def event_metadata(_event: Event) -> dict[str, list[int]]:
    return {}


TALLIES = Context(
    "tallies", EventStore(TALLY, snapshot_every=10), sys.modules[__name__], "command_service.tallies"
)
