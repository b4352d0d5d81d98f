"""From the body of a request to the message of a command, checked by the domain's own rules."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from commands import LARGEST_VALUE, ORDERS, Named, Request, read_named
from messaging import JSON_CONTENT, Attributes, Envelope, InvalidAttribute, Message, Undecodable, format_time
from messaging.attributes import LONGEST_CORRELATION_ID
from messaging.cloudevents import parse_json
from orders import Malformed, parse_command
from query_service.access import Caller
from query_service.problems import LONGEST_ECHO, Problem

SOURCE = "/query_service"

# Field → attribute, and how it is read; those of the first kind are required.
_TEXTS: Mapping[str, tuple[str, Callable[[Attributes], object]]] = {
    "command_id": ("id", lambda given: given.uuid("id")),
    "order_id": ("subject", lambda given: given.uuid("subject")),
    "type": ("type", lambda given: given.text("type")),
    "occurred_at": ("time", lambda given: given.time("time")),
    "correlation_id": ("correlationid", lambda given: given.text("correlationid", LONGEST_CORRELATION_ID)),
}
_REQUIRED = ("command_id", "order_id", "type")
_FIELDS = {*_TEXTS, "data", "expected_version"}


class Sent(NamedTuple):
    """One command, ready to be sent; `request` is what the command service will take it for."""

    message: Message
    request: Request

    @property
    def order_id(self) -> UUID:
        """The order that it is about."""
        return UUID(self.request.subject)


class _Record(NamedTuple):
    """The message as far as it is looked at beside its envelope."""

    key: bytes


def read_body(body: bytes, caller: Caller, topic: str, now: datetime) -> Sent:
    """Return the command that a body asks for, in the caller's name; without a time it occurred now.

    Raises Problem (400) that names each field and rule: what the command service would call malformed is not
    sent at all.
    """
    given = _read_object(body)
    errors = [(f"body.{_shown(name)}", "is not a field of this") for name in given.keys() - _FIELDS]
    attributes, wrong = _read_texts(given)
    errors += wrong
    expected = given.get("expected_version")
    if expected is not None:
        errors += _wrong_version(expected, attributes)
    data = given.get("data", {})
    if errors:
        raise Problem.of_fields(sorted([*errors, *_wrong_data(attributes, data)]))
    everything = {
        "specversion": "1.0",
        "source": SOURCE,
        "time": format_time(now).decode(),
        "tenantid": caller.tenant,
        "actor": caller.actor,
        **attributes,
        "type": ORDERS.type_prefix + attributes["type"],
    }
    order_id = attributes["subject"].encode()
    # As the command service reads the message, without the way through bytes and back.
    named = Named(Envelope(Attributes(everything), None, data), caller.tenant, UUID(attributes["id"]))
    request = read_named(_Record(order_id), named, ORDERS, {})
    if isinstance(request.refusal, Malformed):
        raise Problem.of_fields(sorted((_place(field), rule) for field, rule in request.refusal.errors))
    if request.refusal is not None or request.data is None:
        raise Problem.of_fields([("body", request.refusal.message)])
    headers = [
        ("content-type", JSON_CONTENT.encode()),
        *((f"ce_{name}", value.encode()) for name, value in everything.items()),
    ]
    return Sent(Message(topic, order_id, headers, request.data.encode()), request)


def _wrong_data(attributes: Mapping[str, str], data: object) -> list[tuple[str, str]]:
    try:
        if "type" in attributes:
            parse_command(attributes["type"], data)
    except Malformed as refusal:
        return [(_place(field), rule) for field, rule in refusal.errors]
    return []


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        given = parse_json(body, LARGEST_VALUE)
    except Undecodable as error:
        raise Problem.of_fields([("body", str(error).removeprefix("value: "))]) from None
    if not isinstance(given, dict):
        raise Problem.of_fields([("body", "must be a JSON object")])
    # What is null is as if it were not there.
    return {name: value for name, value in given.items() if value is not None}


def _read_texts(given: Mapping[str, Any]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return the attributes, by their names, and what is wrong with the fields that they come from."""
    attributes: dict[str, str] = {}
    errors = [(f"body.{name}", "is required") for name in _REQUIRED if name not in given]
    for field, (name, read) in _TEXTS.items():
        if field not in given:
            continue
        text = given[field]
        if not isinstance(text, str):
            errors.append((f"body.{field}", "must be a string"))
            continue
        try:
            value = read(Attributes({name: text}))
        except InvalidAttribute as error:
            errors.append((f"body.{field}", str(error).removeprefix(f"{name}: ")))
        else:
            attributes[name] = str(value) if isinstance(value, UUID) else text
    return attributes, errors


def _wrong_version(expected: object, attributes: dict[str, str]) -> list[tuple[str, str]]:
    if type(expected) is not int:
        return [("body.expected_version", "must be a whole number")]
    try:
        Attributes({"expectedversion": str(expected)}).integer("expectedversion")
    except (InvalidAttribute, ValueError) as error:
        # Python refuses to print integers of thousands of digits.
        rule = str(error).partition(": ")[2] if isinstance(error, InvalidAttribute) else "is too large"
        return [("body.expected_version", rule)]
    attributes["expectedversion"] = str(expected)
    return []


def _place(field: str) -> str:
    """Return where in the body a field of the domain's is."""
    return f"body.{field}" if field in {"type", "data"} else f"body.data.{field}"


def _shown(name: str) -> str:
    return ascii(name[:LONGEST_ECHO])[1:-1]
