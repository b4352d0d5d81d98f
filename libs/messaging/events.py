"""The messages on a topic of events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from pydantic_core import to_json

from messaging.attributes import LONGEST_CORRELATION_ID
from messaging.cloudevents import JSON_CONTENT, Undecodable, format_time, open_envelope, parse_json

SOURCE = "tillstream"
_SOURCE, _CONTENT_TYPE = SOURCE.encode(), JSON_CONTENT.encode()
# CloudEvents' integers: JSON numbers in the JSON format, text in headers.
_WHOLE_NUMBERS = frozenset({"version", "schemaversion"})
_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")


class Record(Protocol):
    """What is read of a Kafka record."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102 - Kafka's word
    @property
    def value(self) -> bytes | None: ...  # noqa: D102 - Kafka's word


@dataclass(frozen=True, slots=True)
class EventMessage:
    """One event as it travels; `data` is its payload at `schema_version`, not yet lifted to the newest."""

    event_id: UUID
    event_type: str
    aggregate_id: UUID
    tenant_id: str
    actor: str
    version: int
    schema_version: int
    occurred_at: datetime
    recorded_at: datetime
    correlation_id: str
    causation_id: UUID
    undoes: tuple[int, ...]
    redoes: tuple[int, ...]
    data: dict[str, Any]


def decode_event(record: Record, type_prefix: str) -> EventMessage:
    """Read a record of a topic of events, whose types begin with the context's prefix, such as `orders.`.

    Raises Undecodable or InvalidAttribute: the relay alone writes this topic, so either is a broken
    installation and not a message to skip.
    """
    envelope = open_envelope(record.headers, record.value)
    attributes = envelope.attributes
    return EventMessage(
        event_id=attributes.uuid("id"),
        event_type=attributes.text("type").removeprefix(type_prefix),
        aggregate_id=attributes.uuid("subject"),
        tenant_id=attributes.text("tenantid"),
        actor=attributes.text("actor"),
        version=attributes.integer("version", least=1),
        schema_version=attributes.integer("schemaversion", least=1),
        occurred_at=attributes.time("time"),
        recorded_at=attributes.time("recordedtime"),
        correlation_id=attributes.text("correlationid", LONGEST_CORRELATION_ID),
        causation_id=attributes.uuid("causationid"),
        undoes=attributes.versions("undoes"),
        redoes=attributes.versions("redoes"),
        data=envelope.data(),
    )


def event_headers(
    *,
    event_id: str,
    message_type: str,
    aggregate_id: str,
    tenant_id: str,
    actor: str,
    version: int,
    schema_version: int,
    occurred_at: datetime,
    recorded_at: datetime,
    correlation_id: str,
    causation_id: str,
    metadata: Mapping[str, Sequence[int]],
) -> list[tuple[str, bytes]]:
    """Return the headers of one event in binary mode.

    The type is whole, such as `orders.ItemAdded`. Ids are given as the UUID's text, which whoever sends has
    at hand. `metadata` holds the versions that a compensating event `undoes` or `redoes`, if any.
    """
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", _SOURCE),
        ("ce_type", message_type.encode()),
        ("ce_subject", aggregate_id.encode()),
        ("ce_time", format_time(occurred_at)),
        ("content-type", _CONTENT_TYPE),
        ("ce_tenantid", tenant_id.encode()),
        ("ce_actor", actor.encode()),
        ("ce_version", str(version).encode()),
        ("ce_schemaversion", str(schema_version).encode()),
        ("ce_recordedtime", format_time(recorded_at)),
        ("ce_correlationid", correlation_id.encode()),
        ("ce_causationid", causation_id.encode()),
    ]
    headers.extend(
        (f"ce_{name}", ",".join(map(str, versions)).encode())
        for name, versions in metadata.items()
        if versions
    )
    return headers


def event_json(record: Record) -> bytes:
    """Return a record of a topic of events in CloudEvents' JSON format, on one line; the data is as it came.

    Raises Undecodable where the headers or the value can't be read.
    """
    attributes: dict[str, str | int] = {}
    try:
        for name, raw in record.headers:
            if name == "content-type":
                attributes["datacontenttype"] = (raw or b"").decode()
            elif name.startswith("ce_"):
                key, text = name[3:], (raw or b"").decode()
                attributes[key] = int(text) if key in _WHOLE_NUMBERS else text
    except ValueError as error:
        raise Undecodable(f"headers: can't be read: {error}") from None
    value = record.value or b"{}"
    parse_json(value)
    # Outside of texts, where they are escaped, line ends are but blanks.
    return b'%s,"data":%s}' % (to_json(attributes)[:-1], value.translate(_LINE_ENDS))
