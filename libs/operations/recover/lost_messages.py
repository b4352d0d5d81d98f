"""What the records of the topics say, as rows of the scratch tables."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple, Self, TypeAlias
from uuid import UUID

import jiter
from aiokafka import ConsumerRecord
from pydantic_core import to_json

from commands import ACCEPTED, COMMAND_ID_REUSED, Context
from messaging import decode_event
from messaging.attributes import Attributes

Record: TypeAlias = ConsumerRecord[bytes, bytes]

CommandKey = tuple[str, str]
"""Tenant and command id, which is the UUID's canonical text."""


class TopicEvent(NamedTuple):
    """One event of a topic, all as text, for the database to read: millions come, and few are looked at here.

    First the columns of the log, the key first and `recorded_at` last, then where it lies and what caused it.
    The payload is the record's value, as it was sent.
    """

    tenant_id: str
    aggregate_id: str
    version: str
    event_id: str
    event_type: str
    schema_version: str
    payload: str
    metadata: str
    occurred_at: str
    recorded_at: str
    place: str
    command_id: str


class TopicOutcome(NamedTuple):
    """One outcome of a topic as text: what it says, and the whole message. `event_ids` is an array's text."""

    tenant_id: str
    command_id: str
    order_id: str | None
    decided_at: str
    code: str | None
    version: str | None
    event_ids: str
    headers: str
    value: bytes


class Told(NamedTuple):
    """What an outcome says of its command: accepted up to `version`, or refused with `code`."""

    order_id: UUID | None
    decided_at: datetime
    code: str | None
    version: int | None
    event_ids: tuple[UUID, ...]

    @classmethod
    def of_row(cls, *row: Any) -> Self:  # noqa: ANN401 - PostgreSQL's values
        """Take it from a row of the scratch table."""
        return cls._make((*row[:-1], tuple(row[-1])))


def read_event(record: Record, context: Context[Any]) -> TopicEvent:
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
    return TopicEvent(
        message.tenant_id,
        str(message.aggregate_id),
        str(message.version),
        str(message.event_id),
        message.event_type,
        str(message.schema_version),
        (record.value or b"{}").decode(),
        to_json(metadata).decode(),
        message.occurred_at.isoformat(),
        message.recorded_at.isoformat(),
        place_of(record),
        str(message.causation_id),
    )


def read_outcome(record: Record, headers: str) -> TopicOutcome | None:
    """Read a record of a topic of outcomes, whose headers are given as they are stored.

    None for an answer that is not the command's own outcome. Raises ValueError, and LookupError or TypeError
    where its data is not what it should be.
    """
    attributes = Attributes(
        {name.removeprefix("ce_"): (value or b"").decode() for name, value in record.headers}
    )
    value = record.value or b""
    data = jiter.from_json(value)
    accepted = attributes.text("type").endswith(f".{ACCEPTED}")
    code = None if accepted else str(data["code"])
    if code is not None and not (code and code.isprintable()):
        raise ValueError("it has no code")
    outcome = TopicOutcome(
        attributes.text("tenantid"),
        str(attributes.uuid("causationid")),
        None if attributes.get("subject") is None else str(attributes.uuid("subject")),
        attributes.time("time").isoformat(),
        code,
        str(int(data["version"])) if accepted else None,
        array_text(str(UUID(each)) for each in data["event_ids"]) if accepted else "{}",
        headers,
        value,
    )
    return None if code == COMMAND_ID_REUSED else outcome


def array_text(ids: Iterable[str]) -> str:
    """Write ids as PostgreSQL writes an array of them."""
    return f"{{{','.join(ids)}}}"


def place_of(record: Record) -> str:
    """Say where a record lies."""
    return f"{record.topic}/{record.partition}/{record.offset}"
