"""What is read at speed in a recovery is what the readers of all forms make of it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from commands import ORDERS, NamesNoCommand, outcome_content, read_name, read_request
from eventstore import decode_headers, encode_headers
from harness.plain_client import command
from messaging import event_headers
from operations.recover.lost_messages import read_event, read_outcome
from operations.recover.plain_records import plain_event, plain_name, plain_outcome
from operations.recover.survey import Survey

AT = datetime(2026, 1, 31, 12, 0, 0, 250, tzinfo=UTC)
IDS = [str(UUID(int=number << 64)) for number in range(4)]
TEXTS = st.text(max_size=70) | st.sampled_from(["anna", "é", "a\0b", " ", "line\n"])


class Mutation(NamedTuple):
    """What is done to one header, by its number."""

    number: int
    deed: str
    value: bytes | None


VALUES = st.sampled_from(
    [
        *(b"", b"0", b"007", b"-1", b"2147483648", b"1.0", b"\xff", None),
        *(b"1999-12-31T23:59:59Z", b"2026-01-31T12:00:00+01:00", b"2026-02-30T12:00:00Z"),
        *(b"2026-01-31T24:00:00Z", b"application/json; charset=utf-8", b"application/cloudevents+json"),
        *(b"00000000-0000-0000-0000-00000000000A", IDS[3].encode()),
    ]
)
MUTATIONS = st.lists(
    st.builds(
        Mutation,
        st.integers(0, 13),
        st.sampled_from(["replace", "repeat", "remove", "upper", "swap"]),
        VALUES | TEXTS.map(lambda text: text.encode(errors="replace")),
    ),
    max_size=2,
)
BODIES = st.sampled_from(
    [
        *(b"{}", b"", None, b"[]", b"nonsense", b'{"a":1,"a":2}', b'{"a":NaN}'),
        *(b'{"code":"command_id_reused"}', b'{"version":true}'),
        *(b'{"version":1,"event_ids":["x"]}', b'{"version":"1","event_ids":[]}'),
    ]
)


def record(headers: Any, value: bytes | None) -> ConsumerRecord:
    made: Any = ConsumerRecord(
        "orders.events", 3, 41, 0, 0, None, value, None, 0, len(value or b""), tuple(headers)
    )
    return made


def mutated(headers: list[tuple[str, Any]], mutations: list[Mutation]) -> list[tuple[str, Any]]:
    for number, deed, value in mutations:
        at = number % len(headers)
        name, before = headers[at]
        match deed:
            case "replace":
                headers[at] = (name, value)
            case "repeat":
                headers.append((name, value))
            case "remove" if len(headers) > 1:
                del headers[at]
            case "upper":
                headers[at] = (name.upper(), before)
            case _:
                headers[at], headers[0] = headers[0], headers[at]
    return headers


def event() -> list[tuple[str, bytes]]:
    return event_headers(
        event_id=IDS[0],
        message_type="orders.ItemAdded",
        aggregate_id=IDS[1],
        tenant_id="store-1",
        actor="anna",
        version=7,
        schema_version=2,
        occurred_at=AT,
        recorded_at=AT + timedelta(seconds=1),
        correlation_id="c",
        causation_id=IDS[2],
        metadata={},
    )


def at_times(row: Any, *names: str) -> Any:
    """Give a row with its times as such: texts may write one time in two ways."""
    return row and row._replace(**{name: datetime.fromisoformat(getattr(row, name)) for name in names})


@given(TEXTS, TEXTS, MUTATIONS, BODIES | st.just(b'{"line_id":"1"}'))
def test_an_event_read_at_speed_is_the_event(
    actor: str, correlation_id: str, mutations: list[Mutation], value: bytes | None
) -> None:
    """Whatever a record holds, it is left to the reader of all forms, or comes out as there."""
    headers = [(name, raw) for name, raw in event()]
    headers[8], headers[12] = (
        (name, text.encode(errors="replace"))
        for (name, _), text in ((headers[8], actor), (headers[12], correlation_id))
    )
    made = record(mutated(headers, mutations), value)
    quick = plain_event(made, "orders.")
    if quick is not None:
        times = ("occurred_at", "recorded_at")
        assert at_times(quick, *times) == at_times(read_event(made, ORDERS), *times)


def outcome(accepted: bool) -> tuple[list[tuple[str, Any]], bytes]:
    request = read_request(
        record(command("CreateOrder", IDS[1], command_id=IDS[2])["headers"], b"{}"), ORDERS, {}
    )
    kind, data = (
        ("CommandAccepted", {"version": 3, "event_ids": [IDS[0], IDS[3]]})
        if accepted
        else ("CommandRejected", {"code": "order_not_found", "message": "There is none."})
    )
    headers, value = outcome_content(request, "orders.", kind, data, AT)
    return decode_headers(headers), value


@given(st.booleans(), MUTATIONS, BODIES | st.none())
def test_an_outcome_read_at_speed_is_the_outcome(
    accepted: bool,
    mutations: list[Mutation],
    value: bytes | None,
) -> None:
    """Whatever a record holds, it is left to the reader of all forms, or comes out as there."""
    headers, own = outcome(accepted)
    made = record(mutated(headers, mutations), own if value is None else value)
    stored = encode_headers(made.headers)
    quick = plain_outcome(made, stored)
    if quick is not None:
        assert at_times(quick, "decided_at") == at_times(read_outcome(made, stored), "decided_at")


@given(TEXTS, MUTATIONS)
def test_a_name_read_at_speed_is_the_name(tenant: str, mutations: list[Mutation]) -> None:
    """A record that names a command at speed names that command, in whatever spelling its headers are."""
    sent = command("ConfirmOrder", IDS[1], command_id=IDS[2])["headers"]
    headers = [
        (name, tenant.encode(errors="replace") if name == "ce_tenantid" else value) for name, value in sent
    ]
    made = record(mutated(headers, mutations), b"{}")
    quick = plain_name(made)
    if quick is not None:
        try:
            _, tenant_id, command_id = read_name(made)
        except NamesNoCommand as error:
            raise AssertionError(f"{quick} names no command: {error}") from error
        assert quick == (tenant_id, str(command_id))


def test_what_is_sent_every_day_is_read_at_speed() -> None:
    """Our relay's events and outcomes and a plain client's commands are all of the usual form."""
    assert plain_event(record(event(), b'{"line_id":"1"}'), "orders.") is not None
    for accepted in (True, False):
        headers, value = outcome(accepted)
        assert plain_outcome(record(headers, value), encode_headers(headers)) is not None
    headers = command("ConfirmOrder", IDS[1], command_id=IDS[2])["headers"]
    assert plain_name(record(headers, json.dumps({}).encode())) == ("store-1", IDS[2])


def test_a_hundred_contradictions_are_enough() -> None:
    """A database compared with the topics of another one keeps no million sentences in mind."""
    found = Survey()
    for number in range(70):
        found.contradict(f"{number}", f"{number} too")
    assert len(found.contradictions) == 100
