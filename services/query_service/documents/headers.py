"""JSON Schemas of the messages' headers: CloudEvents' attributes in binary mode, each a text."""

from collections.abc import Mapping
from typing import Any

from commands import CLOCK_AHEAD_ATTRIBUTE, ORDERS
from messaging import JSON_CONTENT, SOURCE
from messaging.attributes import LONGEST_CORRELATION_ID, LONGEST_ID, LONGEST_SOURCE
from query_service.documents.schemas import COMMAND_YEARS, UUID_SCHEMA, Schema, time_schema

# Undo and redo without the version that was seen are refused.
NEED_VERSION = frozenset({"UndoLastChange", "RedoLastChange"})
_WHOLE_NUMBER = {"type": "string", "minLength": 1, "maxLength": 10, "not": {"pattern": "[^0-9]"}}
_VERSIONS = {"type": "string", "pattern": "^[0-9]+(,[0-9]+)*$"}


def _told(schema: Mapping[str, Any], description: str) -> Schema:
    return {**schema, "description": description}


def _text(longest: int, description: str) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": longest, "description": description}


def _time(description: str) -> Schema:
    return {"type": "string", "format": "date-time", "description": description}


def _headers(message_type: str, own: Mapping[str, Schema], optional: frozenset[str]) -> Schema:
    properties = {
        "content-type": {"type": "string", "const": JSON_CONTENT},
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_type": {"type": "string", "const": f"{ORDERS.type_prefix}{message_type}"},
        **own,
    }
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def command_headers(command_type: str) -> Schema:
    """Return the schema of a command's headers."""
    optional = {"content-type", "ce_correlationid", "ce_expectedversion"}
    if command_type in NEED_VERSION:
        optional.discard("ce_expectedversion")
    own = {
        "ce_id": _told(UUID_SCHEMA, "The command id: sent again under it, a command has no second effect."),
        "ce_source": _text(LONGEST_SOURCE, "The terminal."),
        "ce_subject": _told(UUID_SCHEMA, "The order id; the record's key is the same."),
        "ce_time": _told(
            time_schema(COMMAND_YEARS),
            "When it was asked for, by the terminal's clock; in the years 2000 to 2099.",
        ),
        "ce_tenantid": _text(LONGEST_ID, "Whose order it is."),
        "ce_actor": _text(LONGEST_ID, "Who asks for it."),
        "ce_correlationid": _text(
            LONGEST_CORRELATION_ID, "What outcome and events repeat; without it, the command id."
        ),
        "ce_expectedversion": _told(
            _WHOLE_NUMBER, "The version of the order that the sender has seen: at another one it is refused."
        ),
    }
    return _headers(command_type, own, frozenset(optional))


def event_headers(event_type: str, schema_version: int) -> Schema:
    """Return the schema of an event's headers."""
    own = {
        "ce_id": _told(UUID_SCHEMA, "The event id."),
        "ce_source": {"type": "string", "const": SOURCE},
        "ce_subject": _told(UUID_SCHEMA, "The order id; the record's key is the same."),
        "ce_time": _time("When it was asked for, by the terminal's clock."),
        "ce_tenantid": _text(LONGEST_ID, "Whose order it is."),
        "ce_actor": _text(LONGEST_ID, "Who asked for it."),
        "ce_version": _told(_WHOLE_NUMBER, "The order's version after it, from 1 on without a gap."),
        "ce_schemaversion": {
            "type": "string",
            "const": str(schema_version),
            "description": "Of the payload. Events of an earlier version keep the shape that it had.",
        },
        "ce_recordedtime": _time("When it was stored; never runs backwards within an order."),
        "ce_correlationid": _text(LONGEST_CORRELATION_ID, "As the command gave it."),
        "ce_causationid": _told(UUID_SCHEMA, "The command id."),
        "ce_undoes": _told(_VERSIONS, "The versions that this event takes back."),
        "ce_redoes": _told(_VERSIONS, "The versions that this event does again."),
    }
    return _headers(event_type, own, frozenset({"ce_undoes", "ce_redoes"}))


def outcome_headers(outcome_type: str) -> Schema:
    """Return the schema of an outcome's headers."""
    own = {
        "ce_id": _told(UUID_SCHEMA, "The outcome's id: a repeat has the same."),
        "ce_source": {"type": "string", "const": SOURCE},
        "ce_time": _time("When it was decided."),
        "ce_tenantid": _text(LONGEST_ID, "As the command gave it."),
        "ce_correlationid": _text(LONGEST_CORRELATION_ID, "As the command gave it, or its id."),
        "ce_causationid": _told(UUID_SCHEMA, "The command id."),
        "ce_subject": _told(UUID_SCHEMA, "The order id, where the command has named one."),
        f"ce_{CLOCK_AHEAD_ATTRIBUTE}": _told(
            _WHOLE_NUMBER,
            "By how many seconds the terminal's clock was ahead of ours, where that is more than the "
            "tenant's limit (300 unless set).",
        ),
    }
    return _headers(outcome_type, own, frozenset({"ce_subject", f"ce_{CLOCK_AHEAD_ATTRIBUTE}"}))


def dead_letter_headers() -> Schema:
    """Return the schema of a dead letter's headers, beside those that it was received with."""
    properties = {
        "deadletter_id": _told(UUID_SCHEMA, "Derives from the place that it was read at."),
        "deadletter_topic": {"type": "string", "description": "The topic that it was read from."},
        "deadletter_partition": _WHOLE_NUMBER,
        "deadletter_offset": {
            "type": "string",
            "minLength": 1,
            "maxLength": 19,
            "not": {"pattern": "[^0-9]"},
        },
        "deadletter_reason": {"type": "string", "description": "Why it names no command."},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}
