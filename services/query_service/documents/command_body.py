"""The body of a command over HTTP, for the OpenAPI document."""

from typing import Any

from commands import ORDERS
from messaging.attributes import GREATEST_VERSION, LONGEST_CORRELATION_ID
from orders import COMMAND_TYPES
from query_service.documents.examples import conversation
from query_service.documents.schemas import UUID_SCHEMA, Schema, command_schema


def command_body() -> dict[str, Any]:
    """Return the OpenAPI object of the request body, with an example of each command."""
    content = {"schema": _schema(), "examples": _examples()}
    return {"required": True, "content": {"application/json": content}}


def _schema() -> Schema:
    required = ["command_id", "order_id", "type"]
    return {
        "title": "Command",
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": {
            "command_id": {
                **UUID_SCHEMA,
                "description": "Made by the sender: sent again under it, a command has no second effect.",
            },
            "order_id": dict(UUID_SCHEMA),
            "type": {"type": "string", "enum": list(COMMAND_TYPES)},
            "data": {"type": "object", "description": "The command's fields."},
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
        "oneOf": [_of_type(name) for name in COMMAND_TYPES],
    }


def _of_type(name: str) -> Schema:
    data = command_schema(name)
    one: Schema = {"title": name, "properties": {"type": {"const": name}, "data": data}}
    return {**one, "required": ["data"]} if "required" in data else one


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
