"""CloudEvents on the wire, with the CloudEvents SDK as the other side."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from messaging import InvalidAttribute, Undecodable, decode_event, event_headers, open_envelope
from messaging.attributes import Attributes

NOW = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


def sdk_event(data: dict[str, Any] | str | bytes | None) -> CloudEvent:
    return CloudEvent(
        {
            "id": str(uuid4()),
            "source": "/till/7",
            "type": "orders.AddItem",
            "time": NOW,
            "tenantid": "store-1",
        },
        data,
    )


@pytest.mark.parametrize("mode", [kafka.to_binary_event, kafka.to_structured_event])
def test_reads_what_the_sdk_writes(mode: object) -> None:
    """Both content modes of the SDK's messages are read, attributes and data."""
    event = sdk_event({"quantity": "1.5", "lines": [1, 2]})
    message = mode(event)  # type: ignore[operator]
    envelope = open_envelope(list(message.headers.items()), message.value)
    assert envelope.attributes.uuid("id") == UUID(event.get_id())
    assert envelope.attributes.text("tenantid") == "store-1"
    assert envelope.attributes.time("time") == NOW
    assert envelope.data() == {"quantity": "1.5", "lines": [1, 2]}


def test_the_sdk_reads_what_we_write() -> None:
    """The SDK reads our events in binary mode, every attribute as text."""
    order_id, event_id, command_id = uuid4(), uuid4(), uuid4()
    headers = event_headers(
        event_id=str(event_id),
        message_type="orders.ItemAdded",
        aggregate_id=str(order_id),
        tenant_id="store-1",
        actor="anna",
        version=3,
        schema_version=2,
        occurred_at=NOW,
        recorded_at=NOW,
        correlation_id="c-1",
        causation_id=str(command_id),
        metadata={"undoes": [1, 2]},
    )
    value = json.dumps({"line_id": "1"}).encode()
    seen = kafka.from_binary_event(kafka.KafkaMessage(dict(headers), None, value))
    assert seen.get_type() == "orders.ItemAdded"
    assert seen.get_subject() == str(order_id)
    assert seen.get_time() == NOW
    assert seen.get_data() == {"line_id": "1"}
    assert {name: seen.get_extension(name) for name in ("version", "schemaversion", "undoes")} == {
        "version": "3",
        "schemaversion": "2",
        "undoes": "1,2",
    }
    ours = decode_event(SimpleNamespace(headers=headers, value=value), "orders.")
    assert (ours.event_id, ours.version, ours.undoes, ours.redoes) == (event_id, 3, (1, 2), ())
    assert (ours.occurred_at, ours.recorded_at, ours.data) == (NOW, NOW, {"line_id": "1"})


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (b"{", "is not JSON"),
        (b'{"a": NaN}', "is not JSON"),
        (b'{"a": 1, "a": 2}', "duplicate key"),
        (b"[" * 100_000, "recursion limit"),
        (b'"\\ud800"', "is not JSON"),
        (b'{"a": "\xff"}', "is not JSON"),
        (b"1" * 5_000, "number out of range"),
    ],
)
def test_refuses_what_is_not_strict_json(raw: bytes, rule: str) -> None:
    """Data that readers of JSON would disagree on is refused with the reason."""
    with pytest.raises(Undecodable, match=rule):
        open_envelope([("ce_id", b"x")], raw).data()


def test_fractions_are_exact() -> None:
    """A JSON number with a fraction is read as the decimal that was written."""
    assert open_envelope([], b'{"price": 0.10}').data() == {"price": Decimal("0.10")}


@pytest.mark.parametrize(
    ("name", "headers", "fault"),
    [
        ("id", [("ce_id", b"1"), ("ce_id", b"2")], "header ce_id: is given twice, with different values"),
        ("id", [("ce_id", b"1"), ("CE_ID", b"2")], "header CE_ID: is given twice, with different values"),
        (
            "datacontenttype",
            [("content-type", b"application/json"), ("ce_datacontenttype", b"text/plain")],
            "header ce_datacontenttype: is given twice, with different values",
        ),
        ("source", [("ce_source", b"\xff")], "header ce_source: is not UTF-8 text"),
        ("colour", [("ce_colour", b"\xff")], "header ce_colour: is not UTF-8 text"),
    ],
)
def test_headers_that_can_be_read_two_ways_are_faults(
    name: str, headers: list[tuple[str, bytes]], fault: str
) -> None:
    """A doubled header or one that is not text is named, and never guessed at by who reads its attribute."""
    envelope = open_envelope([("ce_type", b"t"), *headers], b"{}")
    assert envelope.faults == (fault,)
    with pytest.raises(InvalidAttribute, match=f"^{fault}$"):
        envelope.attributes.text(name)


def test_one_value_given_twice_is_one() -> None:
    """SDKs write the content type as Kafka's header and as CloudEvents' attribute, one with its charset."""
    envelope = open_envelope(
        [
            ("content-type", b"application/json; charset=utf-8"),
            ("ce_datacontenttype", b"application/json"),
            ("ce_id", b"1"),
            ("CE_ID", b"1"),
        ],
        b'{"a": 1}',
    )
    assert envelope.faults == ()
    assert envelope.attributes.text("id") == "1"
    assert envelope.data() == {"a": 1}


def test_a_header_without_a_value_is_none() -> None:
    """A null attribute is absent: no fault by itself, and missing where it is required."""
    envelope = open_envelope([("ce_id", None), ("ce_id", b"1"), ("ce_source", None)], b"{}")
    assert envelope.faults == ()
    assert envelope.attributes.text("id") == "1"
    with pytest.raises(InvalidAttribute, match=r"^source: is required$"):
        envelope.attributes.text("source")


def test_many_faults_are_counted() -> None:
    """However many headers are wrong, an answer stays small."""
    envelope = open_envelope([(f"ce_{number}", b"\xff") for number in range(5_000)], b"{}")
    assert envelope.faults[-1] == "4,997 more like these"
    assert len(envelope.faults) == 4


STRUCTURED = [("content-type", b"application/cloudevents+json; charset=utf-8")]


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (b'{"id": 1.5}', "id"),
        (b'{"tenantid": {}}', "tenantid"),
        (b'{"colour": []}', "colour"),
        (b'{"data_base64": "eA=="}', "data_base64"),
    ],
)
def test_malformed_structured_attributes_are_faults(document: bytes, name: str) -> None:
    """A structured event's attribute of a kind that CloudEvents doesn't know is told by its name."""
    (fault,) = open_envelope(STRUCTURED, document).faults
    assert fault.startswith(f"{name}: ")


def test_a_structured_event_is_an_object() -> None:
    """A value in structured mode that is no object holds no attributes."""
    with pytest.raises(Undecodable, match="must be a JSON object"):
        open_envelope(STRUCTURED, b"[]")


def test_only_the_reader_of_an_attribute_minds_a_boolean() -> None:
    """CloudEvents has Booleans; none of the attributes that are read here is one."""
    envelope = open_envelope(STRUCTURED, b'{"sampled": true, "actor": false}')
    assert envelope.faults == ()
    with pytest.raises(InvalidAttribute, match=r"^actor: an attribute must be text"):
        envelope.attributes.text("actor")


@pytest.mark.parametrize("form", ["cloudevents-batch+json", "cloudevents+avro", "cloudevents+protobuf"])
def test_other_forms_are_refused_by_name(form: str) -> None:
    """Batches, Avro and Protobuf are refused by their content type, beside what the headers say."""
    content = ("content-type", f"application/{form}".encode())
    fault = f"content-type: application/{form} is not taken; send one event a record: as application/cl"
    with pytest.raises(Undecodable, match=re.escape(fault)):
        open_envelope([content], b"[]")
    envelope = open_envelope([content, ("ce_id", b"1")], b"[]")
    assert envelope.attributes.text("id") == "1"
    assert envelope.faults[0].startswith(fault)


@pytest.mark.parametrize("headers", [[("content-type", b"application/json")], []])
def test_a_structured_event_that_nothing_names_so_is_told(headers: list[tuple[str, bytes]]) -> None:
    """Python's older SDK sends the envelope as application/json: it is read, so that it can be answered."""
    envelope = open_envelope(headers, b'{"specversion": "1.0", "id": "1", "data": {}}')
    assert envelope.attributes.text("id") == "1"
    assert envelope.faults == (
        "content-type: must be application/cloudevents+json, as this is an event in structured mode",
    )


@pytest.mark.parametrize(
    ("name", "value", "getter"),
    [
        ("time", "2026-01-31T12:00:00", "time"),
        ("time", "1970-01-01T00:00:00Z", "time"),
        ("time", "2200-01-01T00:00:00Z", "time"),
        ("time", "2026-02-30T00:00:00Z", "time"),
        ("time", "0001-01-01T00:00:00+14:00", "time"),
        ("id", "6ba7b8109dad11d180b400c04fd430c8", "uuid"),
        ("expectedversion", "-1", "integer"),
        ("expectedversion", "4294967296", "integer"),
        ("expectedversion", "²", "integer"),
        ("tenantid", "", "text"),
        ("tenantid", "x" * 65, "text"),
        ("tenantid", "a\0b", "text"),
        ("tenantid", "a\nb", "text"),
    ],
)
def test_refuses_attributes_out_of_bounds(name: str, value: str, getter: str) -> None:
    """An attribute out of its bounds is refused with a text that begins with its name."""
    with pytest.raises(InvalidAttribute, match=f"^{name}: "):
        getattr(Attributes({name: value}), getter)(name)


def test_names_a_missing_attribute() -> None:
    """A missing attribute is refused by name."""
    with pytest.raises(InvalidAttribute, match="tenantid: is required"):
        Attributes({}).text("tenantid")


@given(st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=st.timezones()))  # noqa: DTZ001 - the strategy adds the zone
def test_times_with_any_offset_mean_the_same_moment(moment: datetime) -> None:
    """A time is read as the moment it names, whatever its offset."""
    text = moment.isoformat()
    if text.count(":") > 3:  # an offset with seconds, which RFC 3339 doesn't know
        return
    # An hour that a zone lives twice equals nothing in another zone; its timestamp is plain.
    assert Attributes({"time": text}).time("time").timestamp() == moment.timestamp()
