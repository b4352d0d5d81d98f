"""What the records of the topics say, as rows of the store."""

from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import jiter
from aiokafka import ConsumerRecord
from pydantic_core import to_json

from commands import ACCEPTED, COMMAND_ID_REUSED, Context
from eventstore import NewEvent, StreamKey, encode_headers
from messaging import decode_event
from messaging.attributes import Attributes

CommandKey = tuple[str, UUID]
Record: TypeAlias = ConsumerRecord[bytes, bytes]


class LostEvent(NamedTuple):
    """One event with its place in the log; the payload is the record's value, as it was sent."""

    key: StreamKey
    version: int
    event: NewEvent
    recorded_at: datetime
    command_id: UUID
    place: str

    @property
    def row(self) -> tuple[object, ...]:
        """Its columns in the log, the key first and `recorded_at` last."""
        return (*self.key, self.version, *self.event, self.recorded_at)


class LostOutcome(NamedTuple):
    """One outcome: the whole message, and what its value says."""

    key: CommandKey
    order_id: UUID | None
    headers: str
    value: bytes
    decided_at: datetime
    code: str | None
    version: int | None
    event_ids: tuple[UUID, ...]


def read_event(record: Record, context: Context[Any]) -> LostEvent:
    """Read a record of the context's topic of events. Raises Undecodable or InvalidAttribute: ValueErrors."""
    message = decode_event(record, context.type_prefix)
    metadata: dict[str, Any] = {
        "actor": message.actor,
        "correlation_id": message.correlation_id,
        "causation_id": str(message.causation_id),
    }
    if message.undoes:
        metadata["undoes"] = message.undoes
    if message.redoes:
        metadata["redoes"] = message.redoes
    event = NewEvent(
        message.event_id,
        message.event_type,
        message.schema_version,
        (record.value or b"{}").decode(),
        to_json(metadata).decode(),
        message.occurred_at,
    )
    return LostEvent(
        StreamKey(message.tenant_id, message.aggregate_id),
        message.version,
        event,
        message.recorded_at,
        message.causation_id,
        f"{record.topic}/{record.partition}/{record.offset}",
    )


def read_outcome(headers: str, value: bytes, attributes: Attributes) -> LostOutcome:
    """Read an outcome of its message. Raises ValueError."""
    data = jiter.from_json(value)
    accepted = attributes.text("type").endswith(f".{ACCEPTED}")
    return LostOutcome(
        (attributes.text("tenantid"), attributes.uuid("causationid")),
        None if attributes.get("subject") is None else attributes.uuid("subject"),
        headers,
        value,
        attributes.time("time"),
        None if accepted else data["code"],
        data["version"] if accepted else None,
        tuple(map(UUID, data["event_ids"])) if accepted else (),
    )


def outcome_of_record(record: Record) -> LostOutcome | None:
    """Read a record of a topic of outcomes; None for an answer that is not the command's own outcome.

    Raises ValueError.
    """
    attributes = Attributes(
        {name.removeprefix("ce_"): (value or b"").decode() for name, value in record.headers}
    )
    outcome = read_outcome(encode_headers(record.headers), record.value or b"", attributes)
    return None if outcome.code == COMMAND_ID_REUSED else outcome
