"""The body of a command over HTTP, for the OpenAPI document."""

from typing import Any

from commands import ORDERS
from messaging.attributes import GREATEST_VERSION, LONGEST_CORRELATION_ID
from orders import COMMAND_TYPES
from orders.fields import printed
from query_service.documents.examples import conversation
from query_service.documents.headers import NEED_VERSION
from query_service.documents.schemas import (
    COMMAND_YEARS,
    UUID_SCHEMA,
    Schema,
    command_schema,
    time_schema,
)

_COMPONENTS = "#/components/schemas/"
_COMMAND = "Command"
_DATA = "Data"
_NULL = {"type": "null"}


def command_body() -> dict[str, Any]:
    """Return the OpenAPI object of the request body, with an example of each command."""
    content = {"schema": {"$ref": f"{_COMPONENTS}{_COMMAND}"}, "examples": _examples()}
    return {"required": True, "content": {"application/json": content}}


def command_components() -> dict[str, Schema]:
    """Return the schemas that the body refers to: each command whole, for generators of clients.

    What stands in a base beside partial alternatives, they make empty or recursive types of.
    """
    commands = {name: _body_of(name) for name in COMMAND_TYPES}
    references = {name: f"{_COMPONENTS}{name}" for name in commands}
    one_of = {
        "title": _COMMAND,
        "description": "One command: its type says which.",
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "type", "mapping": references},
    }
    data = {title: schema for name in COMMAND_TYPES for title, schema in _data_of(name).items()}
    return {_COMMAND: one_of, **commands, **data}


def _body_of(name: str) -> Schema:
    data = command_schema(name)
    required = ["command_id", "order_id", "type"]
    if "required" in data or "oneOf" in data:
        required.append("data")
    if name in NEED_VERSION:
        required.append("expected_version")
    return {
        "title": name,
        "description": data["description"],
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": {
            "command_id": {
                **UUID_SCHEMA,
                "description": "Made by the sender: sent again under it, a command has no second effect.",
            },
            "order_id": {**UUID_SCHEMA, "description": "The order that it is about."},
            "type": {"type": "string", "enum": [name], "description": "What is asked for."},
            "data": {"$ref": f"{_COMPONENTS}{name}{_DATA}"},
            "expected_version": {
                "type": "integer" if name in NEED_VERSION else ["integer", "null"],
                "minimum": 0,
                "maximum": GREATEST_VERSION,
                "description": "The version of the order that the sender has seen: at another one the "
                "command is rejected. Undo and redo need it.",
            },
            "occurred_at": {
                **_or_null(time_schema(COMMAND_YEARS)),
                "description": "By the terminal's clock, in the years 2000 to 2099; without it, now.",
            },
            "correlation_id": {
                **_or_null(printed(LONGEST_CORRELATION_ID)),
                "description": "What the outcome and the events repeat; without it, the command's id.",
            },
        },
    }


def _data_of(name: str) -> dict[str, Schema]:
    """Return the schema of a command's data under its title, and those that it refers to.

    Alternatives that ask for one field of several become alternatives that are whole.
    """
    schema = command_schema(name)
    title = f"{name}{_DATA}"
    fields = {field: _for_generators(value) for field, value in schema["properties"].items()}
    whole = {**schema, "title": title, "properties": fields}
    ways = whole.pop("oneOf", ())
    if not ways:
        return {title: whole}
    choice = {way["required"][0] for way in ways}
    by_field = {
        f"{title}By{given.capitalize()}": {
            **whole,
            "title": f"{title}By{given.capitalize()}",
            "properties": {
                field: _given(value) if field == given else value
                for field, value in fields.items()
                if field not in choice - {given}
            },
            "required": [*whole.get("required", ()), given],
        }
        for given in sorted(choice)
    }
    references = [{"$ref": f"{_COMPONENTS}{way}"} for way in by_field]
    return {title: {"title": title, "description": schema["description"], "oneOf": references}, **by_field}


def _for_generators(field: Schema) -> Schema:
    """Return a field's schema as one type: the text, where a number is taken too.

    Of alternatives generators make a class each, of a number mostly a float. A default is told in words: as a
    keyword it makes the field a required one in TypeScript.
    """
    simple = {name: value for name, value in field.items() if name not in {"anyOf", "default"}}
    if "default" in field:
        simple["description"] = f"{field.get('description', '')} Without it, {field['default']}.".strip()
    kinds = field.get("anyOf", ())
    if not kinds:
        return simple
    text = _for_generators(kinds[0])
    return {**(_or_null(text) if _NULL in kinds else text), **simple}


def _or_null(text: Schema) -> Schema:
    """Return the schema of a text that may be null, which no `pattern` minds, so that every `not` would."""
    unwanted = {"not": {"type": "string", **text["not"]}} if "not" in text else {}
    return {**text, **unwanted, "type": [text["type"], "null"]}


def _given(field: Schema) -> Schema:
    """Return the schema of an optional field where it is given: not null."""
    return {**field, "type": field["type"][0]}


def _examples() -> dict[str, Any]:
    found = {}
    for example in conversation():
        if example.topic == ORDERS.topics().commands and example.message_type not in found:
            headers = example.headers
            body = {
                "command_id": headers["ce_id"],
                "type": example.message_type,
                "order_id": headers["ce_subject"],
                "data": example.payload,
            }
            if "ce_expectedversion" in headers:
                body["expected_version"] = int(headers["ce_expectedversion"])
            found[example.message_type] = {"value": body}
    return found
