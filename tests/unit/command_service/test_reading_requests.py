"""Whatever bytes come in: a request or a named reason, and rows and messages that can be stored and sent."""

import gc
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import jiter
import pytest
from aiokafka import ConsumerRecord
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from commands import (
    LARGEST_DEAD_LETTER,
    LARGEST_VALUE,
    ORDERS,
    Decided,
    Deciding,
    NamesNoCommand,
    Record,
    Request,
    TooLarge,
    dead_letter,
    read_name,
    read_request,
)
from eventstore import Loaded, OutboxMessage, StreamKey, decode_headers
from harness.plain_client import command
from messaging import Message
from messaging.topics import MEBIBYTE
from orders import ORDER, Event, OrderCreated, evolve
from orders.money import Rounding

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
NAMES = [
    *("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_tenantid", "ce_actor"),
    *("ce_expectedversion", "ce_correlationid", "content-type", "CE_ID", "ce_", "x"),
]
ORDER_ID, COMMAND_ID = str(UUID(int=1)), str(UUID(int=2))
GOOD: dict[str, Any] = command(
    "AddItem",
    ORDER_ID,
    {"product_id": "p", "name": "Tea", "quantity": "1", "unit_price": "1.00"},
    command_id=COMMAND_ID,
)

TEXTS = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            ORDER_ID,
            COMMAND_ID,
            "1.0",
            "orders.AddItem",
            "orders.",
            "store-1",
            "2026-01-31T12:00:00Z",
            "1970-01-01T00:00:00Z",
            "application/json",
            "application/cloudevents+json",
            "a\0b",
            "9" * 5_000,
            "x" * 70_000,
        ]
    ),
)
VALUES = st.one_of(
    st.none(), st.binary(max_size=80), TEXTS.map(lambda text: text.encode(errors="surrogatepass"))
)
HEADERS = st.lists(st.tuples(st.one_of(st.sampled_from(NAMES), st.text(max_size=8)), VALUES), max_size=12)
# A valid command with some headers replaced reaches deeper than chance would.
NEARLY = st.tuples(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3), st.booleans()).map(
    lambda change: [*({**dict(GOOD["headers"]), **change[0]}.items()), *([("ce_id", b"1")] * change[1])]
)
NUMBERS = st.one_of(
    st.integers(-(10**70), 10**70),
    st.floats(),
    st.sampled_from([10**4_299, True, None]),
)
JSON = st.recursive(
    st.one_of(NUMBERS, TEXTS),
    lambda children: st.one_of(
        st.lists(children, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["product_id", "name", "quantity", "unit_price", "line_id", "data", "id"]),
                TEXTS,
            ),
            children,
            max_size=5,
        ),
    ),
    max_leaves=8,
)
STRUCTURED = st.dictionaries(
    st.one_of(st.sampled_from([name.removeprefix("ce_") for name in NAMES] + ["data"]), TEXTS), JSON
).map(
    lambda change: json.dumps(
        {**json.loads(command("AddItem", ORDER_ID, {}, structured=True)["value"]), **change}
    ).encode()
)
BODIES = st.one_of(
    st.none(),
    st.binary(max_size=200),
    st.just(GOOD["value"]),
    JSON.map(lambda value: json.dumps(value).encode()),
    JSON.map(lambda value: json.dumps({**json.loads(GOOD["value"]), "name": value}).encode()),
    STRUCTURED,
)
KEYS = st.one_of(st.none(), st.binary(max_size=40), st.just(ORDER_ID.encode()))


def record(key: bytes | None, headers: Any, value: bytes | None) -> Record:
    return ConsumerRecord("orders.commands", 3, 7, 0, 0, key, value, None, 0, 0, tuple(headers))


def read_or_reason(received: Record) -> Request | str:
    try:
        return read_request(received, ORDERS, {})
    except NamesNoCommand as reason:
        return str(reason)


def decided(request: Request) -> Decided:
    """Decide the request on an open order without lines."""
    key = StreamKey(request.tenant_id, request.aggregate_id or UUID(int=0))
    created = OrderCreated(
        cashier_id="a", currency="EUR", minor_unit=2, rounding=Rounding.HALF_UP, business_day=NOW.date()
    )
    state = evolve(ORDER.initial_state(*key), Event(created, NOW))
    states = {key: Loaded(state, 1, NOW, NOW)}
    deciding = Deciding(ORDERS, ORDERS.topics(), known={}, states=states, now=NOW)
    deciding.decide(request)
    return deciding.result()


def assert_fits(message: OutboxMessage, largest: int) -> None:
    assert (
        Message(message.topic, message.key, decode_headers(message.headers), message.value).size() < largest
    )
    # As PostgreSQL's json takes it: text in ASCII.
    assert message.headers.isascii()
    assert isinstance(message.value, bytes | None)


def assert_text(*texts: str | None) -> None:
    """PostgreSQL's text takes neither NUL nor a surrogate."""
    for text in texts:
        assert text is None or "\0" not in text.encode().decode()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(KEYS, st.one_of(HEADERS, NEARLY), BODIES)
@example(ORDER_ID.encode(), [("content-type", b"application/cloudevents+json")], b'{"id": ' + b"9" * 4_300)
@example(ORDER_ID.encode(), GOOD["headers"], b'{"quantity": 1E+9999999999999999999999}')
def test_any_record_is_a_request_or_names_no_command(
    key: bytes | None, headers: list[tuple[str, bytes | None]], value: bytes | None
) -> None:
    """Any bytes are read without another exception, and what they come to can be stored and sent."""
    received = record(key, headers, value)
    read = read_or_reason(received)
    if isinstance(read, str):
        assert 0 < len(read) < 800
        assert read.isprintable()
        letter = dead_letter("orders.dead-letters", received, read)
        assert_fits(letter, 2 * MEBIBYTE)
        assert (letter.key, letter.value) == (key, value)
        assert decode_headers(letter.headers)[: len(headers)] == list(headers)
        return
    batch = decided(read).batch
    (outcome,) = batch.outcomes
    assert_text(outcome.tenant_id, outcome.command_type, outcome.actor, outcome.data, outcome.headers)
    for message in batch.messages:
        assert_fits(message, 8_192)
    for append in batch.appends:
        for event in append.events:
            assert_text(event.payload, event.metadata)
    if outcome.code is not None:
        answer = json.loads(outcome.value)
        assert 0 < len(answer["message"]) < 1_000
        assert answer["message"].isprintable()


def test_messages_stay_small_whatever_they_quote() -> None:
    """A long name is quoted by its ends in reasons and refusals; the place in the value is kept."""
    long = "k" * 30_000
    doubled = {
        **GOOD,
        "value": json.dumps({long: 1})[:-1].encode() + b"," + json.dumps({long: 2})[1:].encode(),
    }
    refusal = read_request(record(doubled["key"], doubled["headers"], doubled["value"]), ORDERS, {}).refusal
    assert refusal is not None
    assert refusal.message.startswith('value: is not JSON: Detected duplicate key "kkk')
    assert refusal.message.endswith("at line 1 column 60011")
    assert len(refusal.message) < 200
    doubled_header = [(f"ce_{long}", b"1"), (f"ce_{long}", b"2")]
    with pytest.raises(NamesNoCommand, match=r"^header ce_kkk.*kkk: is given twice, with diff") as raised:
        read_request(record(None, doubled_header, b""), ORDERS, {})
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    "headers",
    [
        [("", None)] * 500_000,
        [("x" * 10, b"\xff" * 10)] * 40_000,
        [("x", b"\xff" * (MEBIBYTE - 10))],
    ],
    ids=["half a million", "many", "one huge"],
)
def test_a_dead_letter_keeps_all_headers(headers: list[tuple[str, bytes | None]]) -> None:
    """A record of up to 1 MiB fits the dead letters with every header as received, whatever they are."""
    letter = dead_letter("orders.dead-letters", record(None, headers, None), "tenantid: is required")
    assert_fits(letter, MEBIBYTE + 1_024)
    assert decode_headers(letter.headers)[:-5] == headers
    assert dict(decode_headers(letter.headers))["deadletter_reason"] == b"tenantid: is required"


def test_a_record_beyond_the_dead_letters_limit_stops_the_service() -> None:
    """What a topic with other settings let in is not cut, and does not get stuck in the relay."""
    with pytest.raises(TooLarge, match=r"^orders\.commands/3/7 would need .* compression\.type="):
        dead_letter(
            "orders.dead-letters", record(None, [], b"x" * LARGEST_DEAD_LETTER), "tenantid: is required"
        )


def test_an_exponent_beyond_all_numbers_is_told_as_such() -> None:
    """The parser's internal words for an exponent it can't hold don't reach the sender."""
    number = b'{"quantity": 1E-99999999999999999999}'
    refusal = read_request(record(GOOD["key"], GOOD["headers"], number), ORDERS, {}).refusal
    assert refusal is not None
    assert refusal.message.startswith("value: is not JSON: number out of range at line 1")


DEEP = b"[" * 100 + b"]" * 100


def deep_lists(size: int) -> bytes:
    """Give lists of lists of a size: what takes the longest to parse, to write and to forget."""
    return b"[" + b",".join([DEEP] * (size // (len(DEEP) + 1))) + b"]"


def test_what_is_too_large_is_refused_without_a_look_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data of more bytes than a command may have is not parsed: rejected, or where it holds the id, dead."""
    largest = b"{" + b" " * (LARGEST_VALUE - len(GOOD["value"])) + GOOD["value"][1:]
    assert len(largest) == LARGEST_VALUE
    assert read_request(record(GOOD["key"], GOOD["headers"], largest), ORDERS, {}).refusal is None
    monkeypatch.setattr("messaging.cloudevents.jiter", None)
    message = "value: must have at most 65,536 bytes"
    request = read_request(record(GOOD["key"], GOOD["headers"], b" " + largest), ORDERS, {})
    assert (str(request.refusal), request.data) == (f"malformed: {message}", None)
    with pytest.raises(NamesNoCommand, match=f"^{message}$"):
        read_request(
            record(None, [("content-type", b"application/cloudevents+json")], b"x" * MEBIBYTE), ORDERS, {}
        )


def test_a_malformed_body_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To tell whether two malformed commands are the same takes no second look into them."""
    parsed: list[bytes] = []

    def from_json(raw: bytes, **options: Any) -> Any:
        parsed.append(raw)
        return jiter.from_json(raw, **options)

    monkeypatch.setattr("messaging.cloudevents.jiter", SimpleNamespace(from_json=from_json))
    body = deep_lists(LARGEST_VALUE)
    refusal = read_request(record(GOOD["key"], GOOD["headers"], body), ORDERS, {}).refusal
    assert str(refusal) == "malformed: data: must be a JSON object"
    assert parsed == [body]


def test_a_refused_command_keeps_nothing_of_what_was_parsed() -> None:
    """A batch of refused commands holds their bytes, and not the millions of objects these stand for."""
    received = record(GOOD["key"], GOOD["headers"], deep_lists(LARGEST_VALUE))
    gc.collect()
    before = len(gc.get_objects())
    request = read_request(received, ORDERS, {})
    gc.collect()
    assert request.refusal is not None
    assert len(gc.get_objects()) - before < 100


def test_a_name_tells_nothing_of_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a record names a command is known without its data, as the dead letters' limit needs it."""
    monkeypatch.setattr("messaging.cloudevents.jiter", None)
    named = read_name(record(None, GOOD["headers"], b"no JSON"))
    assert (named.tenant_id, str(named.command_id)) == ("store-1", COMMAND_ID)
    with pytest.raises(NamesNoCommand, match=r"tenantid: is required"):
        read_name(record(None, [], b"no JSON"))


def test_a_header_name_that_is_not_utf8_makes_a_dead_letter() -> None:
    """Nobody can say what such a header means; the name is shown and sent with its bytes written out."""
    headers = [*GOOD["headers"], ("x-\udcff", b"\xfe"), ("ä", None)]
    received = record(GOOD["key"], headers, GOOD["value"])
    with pytest.raises(NamesNoCommand, match=r"^header x-\\xff: the name is not UTF-8 text$") as raised:
        read_request(received, ORDERS, {})
    letter = dead_letter("orders.dead-letters", received, str(raised.value))
    assert (letter.key, letter.value) == (GOOD["key"], GOOD["value"])
    assert decode_headers(letter.headers)[:-5] == [*GOOD["headers"], (r"x-\xff", b"\xfe"), ("ä", None)]


def test_header_names_that_are_not_utf8_fit_the_dead_letters_too() -> None:
    """Where a name would take more than the dead letters hold, its bytes are masked: no record gets stuck."""
    received = record(None, [("\udcff" * (MEBIBYTE - 100), b"x")], None)
    letter = dead_letter("orders.dead-letters", received, "tenantid: is required")
    assert_fits(letter, MEBIBYTE + 1_024)
    assert decode_headers(letter.headers)[0] == ("?" * (MEBIBYTE - 100), b"x")


def test_what_is_wrong_with_an_envelope_is_answered() -> None:
    """Where id and tenant can be read, the outcome names all that is wrong with the headers, known or not."""
    wrong = [("ce_actor", b"otto"), ("ce_colour", b"\xff"), ("ce_colour", None), ("ce_\udcff", b"1")]
    request = read_request(record(GOOD["key"], [*GOOD["headers"], *wrong], GOOD["value"]), ORDERS, {})
    assert str(request.refusal) == (
        "malformed: header ce_actor: is given twice, with different values; "
        "header ce_colour: is not UTF-8 text; header ce_\\xff: the name is not UTF-8 text"
    )
    assert str(request.command_id) == COMMAND_ID
    again = read_request(record(GOOD["key"], GOOD["headers"], GOOD["value"]), ORDERS, {})
    assert again.fingerprint != request.fingerprint


def test_an_id_that_is_given_twice_names_no_command() -> None:
    """Of two different ids neither is guessed to be the command's; the same one twice is one."""
    other = [*GOOD["headers"], ("ce_id", str(uuid4()).encode())]
    with pytest.raises(NamesNoCommand, match=r"^header ce_id: is given twice, with different values$"):
        read_request(record(GOOD["key"], other, GOOD["value"]), ORDERS, {})
    same = [*GOOD["headers"], ("CE_ID", COMMAND_ID.encode())]
    assert read_request(record(GOOD["key"], same, GOOD["value"]), ORDERS, {}).refusal is None


def test_a_dead_letter_of_ours_says_where_it_came_from_last() -> None:
    """Headers of the record itself that pass for ours come before ours, so the last one of a name is true."""
    forged = [("deadletter_reason", b"none"), ("deadletter_offset", b"0")]
    letter = dead_letter("orders.dead-letters", record(uuid4().bytes, forged, b""), "id: is required")
    assert dict(decode_headers(letter.headers)) | {"deadletter_id": b""} == {
        "deadletter_id": b"",
        "deadletter_topic": b"orders.commands",
        "deadletter_partition": b"3",
        "deadletter_offset": b"7",
        "deadletter_reason": b"id: is required",
    }


def headers_with(**changes: str | None) -> list[tuple[str, bytes]]:
    """Give the good command's headers, some attributes changed, or left out where they are None."""
    given = {name: value.decode() for name, value in GOOD["headers"]} | {
        f"ce_{name}": value for name, value in changes.items()
    }
    return [(name, value.encode()) for name, value in given.items() if value is not None]


def test_ids_are_taken_in_either_case() -> None:
    """Upper-case UUIDs, as Swift writes them, are the same ids: key, subject, fingerprint and all."""
    lower = read_request(record(GOOD["key"], GOOD["headers"], GOOD["value"]), ORDERS, {})
    assert lower.command is not None
    headers = headers_with(id=COMMAND_ID.upper(), subject=GOOD["key"].decode().upper())
    upper = read_request(record(GOOD["key"].upper(), headers, GOOD["value"]), ORDERS, {})
    assert upper._replace(record=lower.record) == lower
    mixed = read_request(record(GOOD["key"], headers, GOOD["value"]), ORDERS, {})
    assert mixed._replace(record=lower.record) == lower


@pytest.mark.parametrize("id_", [f"{{{COMMAND_ID}}}", COMMAND_ID.replace("-", ""), f"urn:uuid:{COMMAND_ID}"])
def test_other_spellings_of_a_uuid_are_refused(id_: str) -> None:
    """Braces, URNs and missing hyphens are no ids: two spellings of one key would lie in two partitions."""
    with pytest.raises(NamesNoCommand, match=r"^id: must be a UUID such as"):
        read_request(record(GOOD["key"], headers_with(id=id_), GOOD["value"]), ORDERS, {})


def test_all_wrong_attributes_are_told_at_once() -> None:
    """A refusal names every attribute that is missing or wrong, with its rule."""
    headers = headers_with(source=None, subject="7", actor="", time="noon", expectedversion="x", type="Steal")
    refusal = read_request(record(GOOD["key"], headers, GOOD["value"]), ORDERS, {}).refusal
    assert [each.split(":")[0] for each in str(refusal).removeprefix("malformed: ").split("; ")] == [
        "source",
        "subject",
        "actor",
        "time",
        "expectedversion",
        "type",
    ]


def test_a_dead_letter_is_told_all_that_it_lacks() -> None:
    """What names no command says everything that keeps it from being one."""
    headers = headers_with(id="7", tenantid=None, time="noon")
    with pytest.raises(NamesNoCommand) as told:
        read_request(record(GOOD["key"], headers, GOOD["value"]), ORDERS, {})
    assert [each.split(":")[0] for each in str(told.value).split("; ")] == ["id", "tenantid", "time"]
