"""The body of a command over HTTP, for the OpenAPI document."""

from typing import Any

from commands import ORDERS
from messaging.attributes import GREATEST_VERSION, LONGEST_CORRELATION_ID
from orders import COMMAND_TYPES
from query_service.documents.examples import conversation
from query_service.documents.headers import NEED_VERSION
from query_service.documents.schemas import UUID_SCHEMA, Schema, command_schema

_COMPONENTS = "#/components/schemas/"
_COMMAND = "Command"


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
    return {_COMMAND: one_of, **commands}


def _body_of(name: str) -> Schema:
    data = _whole({**command_schema(name), "title": f"{name}Data"})
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
            "data": data,
            "expected_version": {
                "type": ["integer", "null"],
                "minimum": 0,
                "maximum": GREATEST_VERSION,
                "description": "The version of the order that the sender has seen: at another one the "
                "command is rejected. Undo and redo need it.",
            },
            "occurred_at": {
                "type": ["string", "null"],
                "format": "date-time",
                "description": "By the terminal's clock, in the years 2000 to 2099; without it, now.",
            },
            "correlation_id": {
                "type": ["string", "null"],
                "minLength": 1,
                "maxLength": LONGEST_CORRELATION_ID,
                "description": "What the outcome and the events repeat; without it, the command's id.",
            },
        },
    }


def _whole(data: Schema) -> Schema:
    """Return a schema whose alternatives ask for one field of several as alternatives that are whole."""
    ways = data.get("oneOf", ())
    choice = {way["required"][0] for way in ways}
    whole = [
        {
            **{name: value for name, value in data.items() if name != "oneOf"},
            "title": f"{data['title']}By{given.capitalize()}",
            "properties": {
                name: _given(value) if name == given else value
                for name, value in data["properties"].items()
                if name not in choice - {given}
            },
            "required": [*data.get("required", ()), given],
        }
        for given in sorted(choice)
    ]
    return {"title": data["title"], "description": data["description"], "oneOf": whole} if whole else data


def _given(field: Schema) -> Schema:
    """Return the schema of an optional field where it is given: not null."""
    (kind,) = (each for each in field["anyOf"] if each != {"type": "null"})
    return {**{name: value for name, value in field.items() if name != "anyOf"}, **kind}


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
