"""Everything hostile at once on `orders.commands`, among good neighbours, and each record accounted for."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import MessageSizeTooLargeError, RecordTooLargeError

from harness.installation import Installation
from harness.plain_client import PlainClient, command
from harness.raw_records import send_raw
from harness.waiting import eventually

ITEM: dict[str, Any] = {"product_id": "p", "name": "Tea", "quantity": "1", "unit_price": "1.00"}
CREATE = {"cashier_id": "anna", "currency": "EUR"}
VICTIM = str(uuid4())
STRUCTURED = [("content-type", b"application/cloudevents+json")]
MALFORMED = "malformed"
TOO_LARGE = "value: must have at most 65,536 bytes"


def item(name: str, raw: bytes) -> bytes:
    """Give an item's JSON with one field's value as it is."""
    rest = json.dumps({key: value for key, value in ITEM.items() if key != name}).encode()
    return rest[:-1] + b', "' + name.encode() + b'": ' + raw + b"}"


# Data of AddItem → what the refusal begins with. What is no JSON names its command in binary mode only.
DATA: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"quantity=1", "value: is not JSON"),
    "nested": (b"[" * 50_000, "value: is not JSON: recursion limit"),
    "NaN": (item("quantity", b"NaN"), "value: is not JSON"),
    "Infinity": (item("quantity", b"-Infinity"), "value: is not JSON"),
    "exponent": (item("quantity", b"1E+999999"), "quantity: must have at most 6 digits"),
    "negative exponent": (item("unit_price", b"1E-999999"), "unit_price: must have at most 6 decimals"),
    "exponent beyond numbers": (
        item("quantity", b"1E+9999999999999999999"),
        "value: is not JSON: number out",
    ),
    "5,000 digits": (item("quantity", b"9" * 5_000), "value: is not JSON: number out of range"),
    "4,000 digits": (item("product_id", b"9" * 4_000), "product_id: must have at most 64 characters"),
    "list": (b"[]", "data: must be a JSON object"),
    "null": (b"null", "data: must be a JSON object"),
    "object for text": (item("name", b"{}"), "name: must be a string"),
    "text for number": (item("quantity", b'"one"'), "quantity: must be a plain decimal number"),
    "true for number": (item("quantity", b"true"), "quantity: must be a number"),
    "unknown field": (item("colour", b'"red"'), "colour: is not a field of AddItem"),
    "type within": (item("type", b'"CreateOrder"'), "type: is not a field of AddItem"),
    "doubled key": (item("quantity", b'"1", "quantity": "2"'), "value: is not JSON: Detected duplicate key"),
    "NUL": (item("name", b'"a\\u0000b"'), "name: must have no control characters"),
    "NUL in an id": (item("product_id", b'"\\u0000"'), "product_id: must have printable characters"),
    "escaped surrogate": (item("name", b'"\\ud800"'), "value: is not JSON"),
    "raw surrogate": (item("name", b'"\xed\xa0\x80"'), "value: is not JSON"),
    "surrogate key": (item("\\udfff", b"1"), "value: is not JSON"),
    "long key": (b'{"' + b"k" * 60_000 + b'": 1}', "product_id: is required"),
    "long text": (item("name", b'"' + b"x" * 60_000 + b'"'), "name: must have 1 to 200 characters"),
    "megabyte key": (b'{"' + b"k" * 1_000_000 + b'": 1}', TOO_LARGE),
    "megabyte": (item("name", b'"' + b"x" * 1_000_000 + b'"'), TOO_LARGE),
}
# Attribute (None: left out) → the refusal, in both modes. Without id or tenant nobody could be answered.
ATTRIBUTES: dict[str, tuple[str, str | None, str]] = {
    "no id": ("id", None, "dead: id: is required"),
    "no tenant": ("tenantid", None, "dead: tenantid: is required"),
    "odd id": ("id", "7", "dead: id: must be a UUID"),
    "long tenant": ("tenantid", "t" * 10_000, "dead: tenantid: must be 1 to 64"),
    "NUL in the tenant": ("tenantid", "a\0b", "dead: tenantid: must be 1 to 64"),
    "no subject": ("subject", None, "subject: is required"),
    "odd subject": ("subject", f"{{{VICTIM}}}", "subject: must be a UUID"),
    "no type": ("type", None, "type: is required"),
    "unknown type": ("type", "orders.StealItem", "type: StealItem is not a command"),
    "foreign type": ("type", "AddItem", "type: must begin with orders."),
    "no actor": ("actor", None, "actor: is required"),
    "long actor": ("actor", "a" * 1_000, "actor: must be 1 to 64"),
    "no source": ("source", None, "source: is required"),
    "no version of CloudEvents": ("specversion", None, "specversion: must be 1.0"),
    "no time": ("time", None, "time: is required"),
    "1970": ("time", "1970-01-01T00:00:00Z", "time: must lie between"),
    "2200": ("time", "2200-01-01T00:00:00Z", "time: must lie between"),
    "no such day": ("time", "2026-02-30T00:00:00Z", "time: is no time that exists"),
    "odd expected version": ("expectedversion", "1e5", "expectedversion: must be a whole number"),
    "long correlation": ("correlationid", "c" * 200, "correlationid: must be 1 to 128"),
}


@dataclass
class Sent:
    """The records of the test, each with its name and what must become of it."""

    records: list[dict[str, Any]] = field(default_factory=list)
    refusals: dict[tuple[str, str], str] = field(default_factory=dict)
    """(command id, code) → how the message begins."""
    dead: dict[str, str] = field(default_factory=dict)
    """Case → how the reason begins."""
    accepted: Counter[str] = field(default_factory=Counter)
    """Command id → how often it is answered with its acceptance."""

    def rejected(self, case: str, record: dict[str, Any], command_id: str, code: str, message: str) -> None:
        assert (command_id, code) not in self.refusals, case
        self.refusals[command_id, code] = message
        self.records.append(record)

    def dead_lettered(self, case: str, record: dict[str, Any], reason: str) -> None:
        self.dead[case] = reason
        self.records.append({**record, "headers": [*record["headers"], ("x-case", case.encode())]})


def hostile() -> Sent:
    sent = Sent()
    for case, (raw, message) in DATA.items():
        id_ = str(uuid4())
        record = {**command("AddItem", VICTIM, command_id=id_), "value": raw}
        sent.rejected(case, record, id_, MALFORMED, message)
        id_ = str(uuid4())
        record = command("AddItem", VICTIM, {"@": 1}, command_id=id_, structured=True)
        record["value"] = record["value"].replace(b'{"@": 1}', raw)
        if message.startswith("value: "):
            sent.dead_lettered(f"{case}, structured", record, message)
        else:
            sent.rejected(case, record, id_, MALFORMED, message)
    for case, (name, value, message) in ATTRIBUTES.items():
        for structured in (False, True):
            id_ = str(uuid4())
            record = command("AddItem", VICTIM, ITEM, command_id=id_, structured=structured)
            if structured:
                document = {**json.loads(record["value"]), name: value}
                record["value"] = json.dumps(document).encode()
            else:
                others = [header for header in record["headers"] if header[0] != f"ce_{name}"]
                record["headers"] = [*others, *([(f"ce_{name}", value.encode())] if value else [])]
            if message.startswith("dead: "):
                sent.dead_lettered(f"{case}, {structured}", record, message.removeprefix("dead: "))
            else:
                sent.rejected(case, record, id_, MALFORMED, message)
    hostile_records(sent)
    hostile_structure(sent)
    return sent


def hostile_records(sent: Sent) -> None:
    """Add what only keys, headers and the order of records can do wrong."""
    good = command("AddItem", VICTIM, ITEM)
    for case, extra, reason in (
        ("doubled id", ("ce_id", str(uuid4()).encode()), "header ce_id: is given twice"),
    ):
        sent.dead_lettered(case, {**good, "headers": [*good["headers"], extra]}, reason)
    for case, extra, message in (
        ("doubled in capitals", ("CE_Actor", b"nobody"), "header CE_Actor: is given twice, with different"),
        ("header not UTF-8", ("ce_colour", b"\xff\xfe"), "header ce_colour: is not UTF-8 text"),
        ("lone surrogate in a header", ("ce_colour", b"\xed\xa0\x80"), "header ce_colour: is not UTF-8"),
        ("long header name", (f"ce_{'n' * 100_000}", b"\xff"), "header ce_nnn"),
    ):
        id_ = str(uuid4())
        record = command("AddItem", VICTIM, ITEM, command_id=id_)
        sent.rejected(case, {**record, "headers": [*record["headers"], extra]}, id_, MALFORMED, message)
    strange = [("", None)] * 20_000 + [(f"x-{number}", b"\xff\0") for number in range(20_000)]
    sent.dead_lettered(
        "40,000 headers",
        {"key": None, "value": b"{}", "headers": strange},
        "specversion: must be 1.0; id: is required",
    )
    sent.dead_lettered(
        "nothing at all",
        {"key": b"", "value": None, "headers": []},
        "specversion: must be 1.0; id: is required",
    )
    sent.dead_lettered(
        "a megabyte of junk",
        {"key": b"\xff", "value": b"\0" * 1_000_000, "headers": []},
        "specversion: must be 1.0; id: is",
    )

    def rejected(code: str, message: str, record: dict[str, Any]) -> None:
        sent.rejected(code, record, dict(record["headers"])["ce_id"].decode(), code, message)

    rejected("bad_key", "the record's key must be", {**command("AddItem", VICTIM, ITEM), "key": b"\xff\xfe"})
    rejected("bad_key", "the record's key must be", {**command("AddItem", VICTIM, ITEM), "key": None})
    rejected(MALFORMED, "product_id: is required", {**command("AddItem", VICTIM), "value": None})
    rejected(MALFORMED, "datacontenttype: must be", with_content_type(command("AddItem", VICTIM, ITEM)))
    rejected("order_not_found", "There is no such order", command("AddItem", VICTIM, ITEM, tenant="store-2"))
    once = command("CreateOrder", VICTIM, CREATE, command_id=(id_ := str(uuid4())))
    sent.records.insert(0, once)
    sent.records.append(once)
    sent.accepted[id_] = 2
    other = command("CreateOrder", VICTIM, {**CREATE, "currency": "USD"}, command_id=id_)
    sent.rejected("reused", other, id_, "command_id_reused", "This command id was used before")


def with_content_type(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "headers": [("content-type", b"text/xml"), *record["headers"][1:]]}


def hostile_structure(sent: Sent) -> None:
    """Add what only structured mode can do wrong."""
    document = json.loads(command("AddItem", VICTIM, ITEM, structured=True)["value"])
    for case, value, reason in (
        ("no value", None, "value: is not JSON"),
        ("a list", b"[]", "value: a structured CloudEvent must be a JSON object"),
        ("fraction as id", {"id": 1.5}, "id: an attribute must be text or a whole number"),
        ("true as tenant", {"tenantid": True}, "tenantid: an attribute must be text"),
        ("4,200 digits as id", {"id": 10**4_200}, "id: must be a UUID"),
        ("megabyte name", {"n" * 900_000: 1.5}, TOO_LARGE),
    ):
        raw = json.dumps({**document, **value}).encode() if isinstance(value, dict) else value
        sent.dead_lettered(case, {"key": VICTIM.encode(), "value": raw, "headers": STRUCTURED}, reason)
    rejected: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("object as actor", {"actor": {}}, "actor: an attribute must be text"),
        ("base64", {"data_base64": "e30="}, "data_base64: is not taken"),
        ("long name", {"n" * 60_000: 1.5}, "nnn"),
    )
    for case, changes, message in rejected:
        id_ = str(uuid4())
        raw = json.dumps({**document, **changes, "id": id_}).encode()
        sent.rejected(
            case, {"key": VICTIM.encode(), "value": raw, "headers": STRUCTURED}, id_, MALFORMED, message
        )


def neighbours(count: int) -> list[dict[str, Any]]:
    """Give good commands, some of them unusual in what nobody has to read."""
    commands = []
    for number in range(count):
        order_id, structured = str(uuid4()), bool(number % 2)
        create = command("CreateOrder", order_id, CREATE, structured=structured)
        create["headers"] = [*create["headers"], ("x-null", None), ("x-odd", b"\xff"), ("x-odd", b"")]
        if not structured:
            # As CloudEvents' JavaScript SDK writes them.
            create["headers"] += [("ce_datacontenttype", b"application/json"), ("ce_dataschema", None)]
        confirm = {**command("ConfirmOrder", order_id), "value": None}
        commands += [create, command("AddItem", order_id, ITEM, structured=structured), confirm]
    return commands


def command_id_of(record: dict[str, Any]) -> str:
    headers = dict(record["headers"])
    return str(json.loads(record["value"])["id"]) if "ce_id" not in headers else headers["ce_id"].decode()


def text_headers(record: ConsumerRecord) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


async def test_every_hostile_record_is_accounted_for_once(
    installation: Installation, upstream: PlainClient, admin: asyncpg.Connection
) -> None:
    """Each hostile record is rejected or dead-lettered, with its fault named; its neighbours go through."""
    sent = hostile()
    good = neighbours(12)
    sent.accepted.update(command_id_of(each) for each in good)
    # One partition, so that they share batches; a good one after every few others, and one at the end.
    others, step = sent.records, len(sent.records) // len(good) + 1
    groups = zip_longest([others[at : at + step] for at in range(0, len(others), step)], good)
    mixed = [each for group, friend in groups for each in [*(group or []), friend]]
    await upstream.send({**each, "partition": 3} for each in mixed)
    services = [installation.service("command_service"), installation.service("outbox_relay")]
    await asyncio.gather(*(service.ready() for service in services))

    answered = sent.accepted.total() + len(sent.refusals)
    assert answered + len(sent.dead) == len(mixed)
    outcomes = await upstream.read("orders.outcomes", answered)
    letters = await upstream.read("orders.dead-letters", len(sent.dead))
    assert (len(outcomes), len(letters)) == (answered, len(sent.dead))

    accepted: Counter[str] = Counter()
    for outcome in outcomes:
        attributes, answer = text_headers(outcome), json.loads(outcome.value)
        command_id = attributes["ce_causationid"]
        if attributes["ce_type"] == "orders.CommandAccepted":
            accepted[command_id] += 1
            continue
        expected = sent.refusals.pop((command_id, answer["code"]))
        assert answer["message"].startswith(expected)
        assert len(outcome.value) < 1_000
    assert not sent.refusals
    assert accepted == sent.accepted

    by_case = {dict(record["headers"]).get("x-case", b"").decode(): record for record in mixed}
    for letter in letters:
        found = dict(letter.headers)
        case = found["x-case"].decode()
        assert found["deadletter_reason"].decode().startswith(sent.dead.pop(case)), case
        record = by_case[case]
        assert (letter.key, letter.value) == (record["key"], record["value"]), case
        assert list(letter.headers[:-5]) == record["headers"], case
    assert not sent.dead
    versions = await admin.fetch("SELECT max(version) FROM order_events GROUP BY aggregate_id ORDER BY 1")
    assert [row["max"] for row in versions] == [1] + [3] * 12


@pytest.mark.parametrize("without_extensions", [False, True], ids=["C extension", "without"])
async def test_a_header_name_that_is_not_utf8_holds_nobody_up(
    installation: Installation,
    upstream: PlainClient,
    admin: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    without_extensions: bool,
) -> None:
    """A record that aiokafka can't read is dead-lettered; its batch, its partition and all others go on."""
    if without_extensions:
        monkeypatch.setenv("AIOKAFKA_NO_EXTENSIONS", "1")
    odd = {**command("CreateOrder", str(uuid4()), CREATE), "value": b"\0\xff"}
    odd["headers"] = [*odd["headers"], ("na\xffme", b"\xfe"), ("x", None)]
    huge = {"key": None, "value": None, "headers": [("\xff" * 1_000_000, b"")]}
    friends = [command("CreateOrder", str(uuid4()), CREATE) for _ in range(12)]
    await upstream.send({**each, "partition": number} for number, each in enumerate(friends))
    topic = f"{installation.prefix}orders.commands"
    beside = command("CreateOrder", str(uuid4()), CREATE)
    for number in (3, 5):
        await send_raw(installation.bootstrap_servers, topic, number, beside, odd, huge, beside)
    later = [command("CreateOrder", str(uuid4()), CREATE) for _ in range(12)]
    await upstream.send({**each, "partition": number} for number, each in enumerate(later))

    service = installation.service("command_service")
    installation.service("outbox_relay")
    outcomes = await upstream.read("orders.outcomes", 28)
    # The copies of one command are answered alike.
    answered = Counter(text_headers(each)["ce_causationid"] for each in outcomes)
    assert answered == {command_id_of(each): 1 for each in friends + later} | {command_id_of(beside): 4}
    letters = await upstream.read("orders.dead-letters", 4)
    found = sorted((*_place(each), *each.headers[-1:], each.key, each.value) for each in letters)
    written, masked = "header na\\xffme: the name is not UTF-8 text", "header \\xff\\xff"
    assert [each[:2] for each in found] == [("3", "2"), ("3", "3"), ("5", "2"), ("5", "3")]
    for at, (_, _, (_, reason), key, value) in enumerate(found):
        assert reason.decode().startswith(masked if at % 2 else written)
        assert (key, value) == ((None, None) if at % 2 else (odd["key"], odd["value"]))
    assert {each.headers[-7][0] for each in letters if each.key} == {"na\\xffme"}
    assert {each.headers[0][0] for each in letters if not each.key} == {"?" * 1_000_000}
    events = [json.loads(line)["event"] for line in service.log.splitlines()]
    assert "consumer.unreadable" not in events
    assert await admin.fetchval("SELECT count(*) FROM order_events") == 25


def _place(letter: ConsumerRecord) -> tuple[str, str]:
    own = {name: value.decode() for name, value in letter.headers[-5:]}
    return own["deadletter_partition"], own["deadletter_offset"]


async def test_what_is_costly_to_read_costs_nobody_the_partitions(
    installation: Installation, upstream: PlainClient, admin: asyncpg.Connection
) -> None:
    """Deep lists on all partitions, as large as can be sent and as large as are parsed, end no session."""
    unit = b"[" * 150 + b"]" * 150
    sent: list[dict[str, Any]] = []
    for size, each_partition in ((1_040_000, 1), (65_000, 4)):
        lists = b"[" + b",".join([unit] * (size // len(unit) - 2)) + b"]"
        sent += [
            {**command("AddItem", str(uuid4())), "value": lists, "partition": number % 12}
            for number in range(12 * each_partition)
        ]
    await upstream.send(sent)
    service = await installation.service("command_service").ready()

    async def answered() -> bool:
        rows = await admin.fetch("SELECT headers FROM outbox WHERE topic LIKE '%orders.outcomes'")
        return len(rows) >= len(sent)

    await eventually(answered, deadline=120)
    rows = await admin.fetch("SELECT headers FROM outbox WHERE topic LIKE '%orders.outcomes'")
    answers = Counter(dict(json.loads(row["headers"]))["ce_causationid"] for row in rows)
    assert answers == {command_id_of(each): 1 for each in sent}
    events = [json.loads(line)["event"] for line in service.log.splitlines()]
    assert events.count("consumer.assigned") == 1


@pytest.fixture
async def compressing(installation: Installation) -> Any:
    """Give a producer that compresses, and lets records of any size through to Kafka."""
    producer = AIOKafkaProducer(
        bootstrap_servers=installation.bootstrap_servers, compression_type="gzip", max_request_size=2**26
    )
    await producer.start()
    yield producer
    await producer.stop()


async def test_kafka_itself_bounds_what_compression_and_clocks_can_do(
    installation: Installation, upstream: PlainClient, compressing: AIOKafkaProducer
) -> None:
    """A compressed command is kept unpacked and within 1 MiB, dated by Kafka's clock, not by the sender's."""
    topic = f"{installation.prefix}orders.commands"
    with pytest.raises((MessageSizeTooLargeError, RecordTooLargeError)):
        await compressing.send_and_wait(topic, b"\0" * 50_000_000)
    # In the year 1970 it would be past its retention at once.
    await compressing.send_and_wait(topic, b"x" * 100_000, timestamp_ms=1)
    (record,) = await upstream.read("orders.commands", 1)
    assert record.value == b"x" * 100_000
    assert abs(record.timestamp / 1_000 - time.time()) < 3_600
