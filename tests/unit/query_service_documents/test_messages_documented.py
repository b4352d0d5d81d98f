"""The documents of the messages: true to the specification, to the code, and to each other."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st

from commands import ORDERS
from orders import (
    COMMAND_TYPES,
    EVENT_TYPES,
    ORDER,
    Malformed,
    Rejected,
    decide,
    encode_event,
    initial_state,
    parse_command,
)
from orders.commands import COMMAND_MODELS, ApplyDiscount, ApplyLineDiscount, CommandData, CreateOrder
from orders.currencies import NotMoney, minor_unit
from query_service.access import Caller, Role
from query_service.commands import read_body
from query_service.documents import (
    asyncapi_document,
    command_schema,
    event_schema,
    messages_page,
    schema_addresses,
)
from query_service.documents.__main__ import written
from query_service.documents.examples import NOON, conversation
from unit.orders.order_scenarios import ORDER_ID, command, fold
from unit.orders.order_strategies import COMMANDS, FIELDS

DOCUMENT = asyncapi_document()
COMMAND_SCHEMAS = {name: jsonschema_rs.validator_for(command_schema(name)) for name in COMMAND_TYPES}
EVENT_SCHEMAS = {name: jsonschema_rs.validator_for(event_schema(name)) for name in EVENT_TYPES}


def parts(value: Any, path: str = "#") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give each object within a JSON value, with its place."""
    if isinstance(value, dict):
        yield path, value
        for name, part in value.items():
            yield from parts(part, f"{path}/{name}")
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from parts(part, f"{path}/{number}")


def resolved(reference: str) -> Any:
    found: Any = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def test_the_document_has_the_form_of_asyncapi_3() -> None:
    """Every reference leads somewhere, and every part has the members that version 3.1 asks for."""
    assert DOCUMENT["asyncapi"] == "3.1.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    for _, part in parts(DOCUMENT):
        if "$ref" in part:
            assert part.keys() == {"$ref"}
            resolved(part["$ref"])
    for name, channel in DOCUMENT["channels"].items():
        assert re.fullmatch(r"[\w.-]+", name)
        assert all(resolved(message["$ref"]) for message in channel["messages"].values())
    titled = [part for name in ("servers", "channels", "operations") for part in DOCUMENT[name].values()]
    assert all(part["title"] for part in [*titled, *DOCUMENT["components"]["messages"].values()])
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in {"send", "receive"}
        channel = operation["channel"]["$ref"]
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])
    for message in DOCUMENT["components"]["messages"].values():
        assert message["examples"]
        assert message["headers"]["type"] == "object"
        jsonschema_rs.validator_for(message["headers"])


def test_the_document_tells_of_every_topic_and_type() -> None:
    """Its channels are the topics as they are made, and each command and event type is on its own."""
    topics = ORDERS.topics()
    channels = {channel["address"]: channel for channel in DOCUMENT["channels"].values()}
    assert channels.keys() == topics.configurations().keys()
    assert set(channels[topics.commands]["messages"]) == set(COMMAND_TYPES)
    assert set(channels[topics.events]["messages"]) == set(EVENT_TYPES)
    for address, configuration in topics.configurations().items():
        told = channels[address]["bindings"]["kafka"]["topicConfiguration"]
        assert str(told["retention.ms"]) == configuration["retention.ms"]
        assert str(told["max.message.bytes"]) == configuration["max.message.bytes"]


def test_every_example_is_valid() -> None:
    """Each message of the code's own making fits the headers and the payload that are documented for it."""
    for name, message in DOCUMENT["components"]["messages"].items():
        headers = jsonschema_rs.validator_for(message["headers"], validate_formats=True)
        payload = jsonschema_rs.validator_for(
            DOCUMENT["components"]["schemas"].get(name, {}), validate_formats=True
        )
        for example in message["examples"]:
            headers.validate(example["headers"])
            payload.validate(example["payload"])
            for missing in message["headers"]["required"]:
                assert not headers.is_valid({k: v for k, v in example["headers"].items() if k != missing})


def test_patterns_mean_the_same_in_every_language() -> None:
    """No pattern has an escape or a group that dialects know differently; what `$` lets pass is bounded."""
    commands = {name: command_schema(name) for name in COMMAND_TYPES}
    patterns = [
        part for _, part in parts([DOCUMENT, schema_addresses()]) if isinstance(part.get("pattern"), str)
    ]
    assert len(patterns) > 50
    for part in patterns:
        assert not re.search(r"\\[^.]|\(\?", part["pattern"]), part
    for _, part in parts(commands):
        if str(part.get("pattern")).endswith("$"):
            # In Python it matches before a last newline too.
            assert "not" in part or "maxLength" in part, part


def test_no_schema_has_a_keyword_of_its_own() -> None:
    """Strict validators, as ajv is by default, refuse a schema with a keyword that they don't know."""
    for schema in schema_addresses().values():
        for _, part in parts(schema):
            assert not any(name.startswith("x-") for name in part)


def test_a_schema_says_that_it_is_of_the_newest_version_alone() -> None:
    """Events of earlier versions stay on the topic as they were written, and fit no schema of a newer one."""
    for name, newest in ORDER.schema_versions.items():
        told = event_schema(name)["description"]
        assert (f"schema version {newest}. Events are never rewritten" in told) is (newest > 1), name
    of_version_1 = {"product_id": 7, "name": "Tea", "quantity": 2, "unit_price": 3.5}
    assert not EVENT_SCHEMAS["ItemAdded"].is_valid(of_version_1)


def test_headers_are_documented_as_they_are_sent() -> None:
    """No message of the code's own making has a header that its document doesn't tell of."""
    for example in conversation():
        if example.topic != ORDERS.topics().dead_letters:
            told = DOCUMENT["components"]["messages"][example.message_type]["headers"]["properties"]
            assert example.headers.keys() <= told.keys()


def test_the_header_of_a_clock_that_is_ahead_is_documented() -> None:
    """An outcome that tells it fits the headers that are documented, which don't ask for it."""
    told = jsonschema_rs.validator_for(DOCUMENT["components"]["messages"]["CommandAccepted"]["headers"])
    plain = next(each for each in conversation() if each.message_type == "CommandAccepted").headers
    told.validate(plain)
    told.validate({**plain, "ce_clockahead": "301"})
    assert not told.is_valid({**plain, "ce_clockahead": "five minutes"})


@given(st.sampled_from(COMMAND_TYPES).flatmap(lambda name: st.tuples(st.just(name), FIELDS[name])))
def test_what_a_command_may_be_fits_its_schema(drawn: tuple[str, dict[str, Any]]) -> None:
    """Commands that are taken fit, as texts and as numbers; with a field more or less, or of none, not."""
    name, fields = drawn
    schema = COMMAND_SCHEMAS[name]
    # As the domain's strategies draw them: texts, whole numbers, and Decimals, which JSON has not.
    texts = {
        field: format(value, "f") if isinstance(value, Decimal) else value for field, value in fields.items()
    }
    numbers = {
        field: float(value) if isinstance(value, Decimal) else value for field, value in fields.items()
    }
    for data in (texts, numbers):
        assert schema.is_valid(data) is in_range(parse_command(name, texts))
    assert not schema.is_valid({**texts, "type": name})
    assert not schema.is_valid([texts])
    for field in texts:
        assert not schema.is_valid({**texts, field: {}})
        if field in command_schema(name).get("required", ()):
            assert not schema.is_valid({other: value for other, value in texts.items() if other != field})


def in_range(data: CommandData) -> bool:
    """Say whether fields are of the range that the domain refuses others of, whatever the order."""
    match data:
        case ApplyDiscount(percent=percent):
            return 0 < percent <= 100
        case ApplyLineDiscount(percent=percent, amount=amount):
            return (percent is None or 0 < percent <= 100) and (amount is None or amount > 0)
        case CreateOrder(currency=currency, business_day=day):
            try:
                minor_unit(currency, day or date(2000, 1, 1))
            except NotMoney as error:
                # From when on it is none is said in words.
                return "withdrawn" in str(error)
            return True
        case _:
            return True


NUMBERS = st.from_regex(r"\A-?[0-9.]{1,12}\Z") | st.sampled_from(
    ["0", "-0", "0.0", "00.50", "1e3", "", "1.", ".5"]
)
CURRENCIES = st.sampled_from(["EUR", "DEM", "XAU", "XXX", "QQQ", "eur", "EUR\n"])
DAYS = st.sampled_from(["1999-12-31", "2000-01-01", "2100-12-31", "2101-01-01", "2026-02-30", "20260101"])
PERCENTS = st.sampled_from(["100", "100.00", "100.01", "0.01", "0.001", "-5", "150", "0100", "99.990"])
TEXTS = st.text(max_size=70) | NUMBERS | st.just(" " * 3) | CURRENCIES | DAYS | PERCENTS


@given(st.sampled_from([name for name in COMMAND_TYPES if COMMAND_MODELS[name].model_fields]), st.data())
@settings(max_examples=600)
def test_a_schema_takes_what_the_domain_takes(name: str, data: st.DataObject) -> None:
    """What fits a schema is taken, and what is taken fits it, but where only words can say the rule."""
    schema = command_schema(name)
    required = dict.fromkeys(schema.get("required", ()), TEXTS)
    optional = {field: TEXTS for field in schema["properties"] if field not in required}
    special = {"currency": CURRENCIES, "business_day": DAYS, "percent": PERCENTS, "amount": PERCENTS}
    usual = {field: special.get(field, TEXTS) for field in (*required, *optional)}
    drawn = data.draw(
        st.fixed_dictionaries(
            {field: TEXTS | usual[field] for field in required},
            optional={field: TEXTS | usual[field] for field in optional},
        )
    )
    fits = COMMAND_SCHEMAS[name].is_valid(drawn)
    try:
        parsed = parse_command(name, drawn)
    except Malformed as refusal:
        rules = {rule for _, rule in refusal.errors}
        assert not fits or rules <= {"must have printable characters only", "must be a day of the calendar"}
    else:
        assert fits is in_range(parsed)


@given(st.lists(COMMANDS, min_size=4, max_size=25))
def test_every_event_fits_its_schema(commands: list[Any]) -> None:
    """What happens to orders is written as the schemas say, and not otherwise."""
    order = initial_state("store-1", ORDER_ID)
    first = [parse_command("CreateOrder", {"cashier_id": "anna", "currency": "EUR"})]
    for each in first + commands:
        try:
            expected = order.version if each.type in {"UndoLastChange", "RedoLastChange"} else None
            events = decide(command(each, expected_version=expected), order)
        except Rejected:
            continue
        order = fold(order, events)
        for event in events:
            event_type, version, text = encode_event(event)
            payload = json.loads(text)
            EVENT_SCHEMAS[event_type].validate(payload)
            assert event_schema(event_type)["$comment"] == f"Schema version {version}."
            assert not EVENT_SCHEMAS[event_type].is_valid({**payload, "type": event_type})
            for field, value in payload.items():
                if isinstance(value, str):
                    assert not EVENT_SCHEMAS[event_type].is_valid({**payload, field: 1})


def test_each_schema_is_a_document_of_its_own() -> None:
    """It names its dialect and its address, and needs no other document."""
    for address, schema in schema_addresses().items():
        assert schema["$id"] == address
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert not [part for _, part in parts(schema) if "$ref" in part]
        jsonschema_rs.meta.validate(schema)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_of_messages_runs_nothing_and_loads_nothing_from_elsewhere() -> None:
    """It is well-formed, has no script, leads nowhere outside, and every link within it has its end."""
    page = _Page()
    page.feed(messages_page(DOCUMENT, base="files/", http_api="../docs"))
    assert page.open == []
    ids = {attributes.get("id") for _, attributes in page.tags}
    for tag, attributes in page.tags:
        assert tag != "script"
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        link = attributes.get("href") or attributes.get("src") or "#topics"
        assert "//" not in link
        if link.startswith("#") and link != "#topics":
            assert link[1:] in ids
    assert set(COMMAND_TYPES) | set(EVENT_TYPES) <= ids


def test_what_is_shown_is_data_and_never_markup() -> None:
    """A text from the document appears as it is."""
    hostile = json.loads(json.dumps(DOCUMENT).replace("Sell the order.", "<img src=x onerror=alert(1)>"))
    assert "<img" not in messages_page(hostile, base="files/", http_api="../docs")


def test_all_documents_are_written() -> None:
    """What is served can also be kept as files, whose pages find what they need beside them."""
    files = written()
    assert {"openapi.json", "asyncapi.json", "docs/index.html", "docs/messages.html"} <= files.keys()
    assert json.loads(files["openapi.json"])["openapi"].startswith("3.")
    for page in ("docs/index.html", "docs/messages.html"):
        for needed in re.findall(rb'(?:src|href)="([^"#]+)"', files[page]):
            path = needed.decode()
            assert (path.removeprefix("../") if path.startswith("../") else f"docs/{path}") in files


def test_the_body_of_a_command_over_http_is_documented() -> None:
    """Each example of a command fits the body's schema, with its own data only."""
    document = json.loads(written()["openapi.json"])
    content = document["paths"]["/v1/commands"]["post"]["requestBody"]["content"]["application/json"]
    whole = {**content["schema"], "components": document["components"]}
    schema = jsonschema_rs.validator_for(whole, validate_formats=True)
    examples = {name: example["value"] for name, example in content["examples"].items()}
    assert examples.keys() == set(COMMAND_TYPES)
    for name, body in examples.items():
        schema.validate(body)
        assert not schema.is_valid({**body, "data": {"nonsense": 1}})
        assert not schema.is_valid({**body, "type": "Nonsense"})
        read = read_body(json.dumps(body).encode(), Caller("store-1", "anna", Role.CASHIER, None), "t", NOON)
        assert read.request.command_type == name
        # Generators of clients make a type of each: nothing of it may stand beside it.
        alone = document["components"]["schemas"][name]
        jsonschema_rs.validator_for({**alone, "components": document["components"]}).validate(body)
        assert alone["title"] == name
        assert alone["properties"]["type"]["enum"] == [name]


def test_what_a_command_can_do_without_may_be_null() -> None:
    """The body's schema and the service both take null for each field that says so."""
    document = json.loads(written()["openapi.json"])
    content = document["paths"]["/v1/commands"]["post"]["requestBody"]["content"]["application/json"]
    schemas = document["components"]["schemas"]
    schema = jsonschema_rs.validator_for({**content["schema"], "components": document["components"]})
    nulls = {
        name: dict.fromkeys(field for field, value in part["properties"].items() if "null" in value["type"])
        for name, part in schemas.items()
        if "properties" in part and name.startswith(COMMAND_TYPES) and "Data" in name
    }
    assert {"line_id"} == nulls["AddItemData"].keys()
    for example in content["examples"].values():
        body = example["value"]
        names = [f"{body['type']}Data", *(f"{body['type']}DataBy{field.title()}" for field in body["data"])]
        data = body["data"] | {key: None for name in names for key in nulls.get(name, ())}
        body |= {"data": data, "correlation_id": None, "occurred_at": None}
        schema.validate(body)
        read_body(json.dumps(body).encode(), Caller("store-1", "anna", Role.CASHIER, None), "t", NOON)


def test_what_a_command_is_made_of_has_one_type_and_a_name() -> None:
    """Of alternatives generators make awkward types, of numbers floats, of defaults required fields."""
    schemas = json.loads(written()["openapi.json"])["components"]["schemas"]
    for name in COMMAND_TYPES:
        assert schemas[name]["properties"]["data"] == {"$ref": f"#/components/schemas/{name}Data"}
        ways = [part["$ref"].rpartition("/")[2] for part in schemas[f"{name}Data"].get("oneOf", ())]
        for part in ways or [f"{name}Data"]:
            assert schemas[part]["title"] == part
            for field in (*schemas[part]["properties"].values(), *schemas[name]["properties"].values()):
                assert not field.keys() & {"anyOf", "oneOf", "default"}
                assert "number" not in field.get("type", ())


def test_the_document_tells_of_no_answer_that_never_comes() -> None:
    """What FastAPI documents for a wrong parameter is nowhere: such a request has a problem of status 400."""
    document = written()["openapi.json"]
    assert b"ValidationError" not in document
    for operations in json.loads(document)["paths"].values():
        for operation in operations.values():
            assert "400" in operation["responses"]
