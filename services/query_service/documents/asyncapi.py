"""The AsyncAPI 3.0 document of the four topics (https://www.asyncapi.com/docs/reference/specification/v3.0.0)."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from commands import ORDERS
from commands.deciding import ACCEPTED, REJECTED
from messaging import JSON_CONTENT, Topics
from messaging.topics import COMMON, PARTITIONS
from orders import COMMAND_TYPES, EVENT_TYPES, ORDER
from query_service.documents.examples import Example, conversation
from query_service.documents.headers import (
    command_headers,
    dead_letter_headers,
    event_headers,
    outcome_headers,
)
from query_service.documents.schemas import UUID_SCHEMA, Schema, command_schema, event_schema, outcome_schemas

DEAD_LETTER = "DeadLetter"
_TITLES = {
    "commands": "Commands",
    "events": "Events",
    "outcomes": "Outcomes",
    "dead_letters": "Dead letters",
}
_BINDING_VERSION = "0.5.0"
_MOST_EXAMPLES = 2
_ABOUT = """\
Orders of a fleet of points of sale: commands in, events and outcomes out.

Messages are CloudEvents 1.0 on Kafka in binary mode: attributes in headers that begin with `ce_`, data in the
value, as JSON. Commands are also taken in structured mode.

Amounts and quantities are texts, so that no reader makes binary fractions of them; in commands JSON numbers
are taken too, where they are exact.

A message's key is its order's id, so what concerns one order comes in order. What comes again after a crash
is the same byte for byte: a reader passes over an event whose version is not above the last of its order."""
_COMMANDS = """\
What upstream systems want done. All clients choose the partition by murmur2 of the record's key, the order id
in lower case, as Java's client does; librdkafka's need `partitioner=murmur2_random`. Otherwise one order's
commands lie in two partitions, and are decided in any order."""


@cache
def asyncapi_document() -> dict[str, Any]:
    """Return the document, of topics without a prefix. It is made once: copy it to change it."""
    topics = ORDERS.topics()
    outcomes = outcome_schemas()
    channels = {
        "commands": _channel(topics, "commands", _COMMANDS, COMMAND_TYPES),
        "events": _channel(topics, "events", "What happened to orders.", EVENT_TYPES),
        "outcomes": _channel(topics, "outcomes", "What became of each command.", tuple(outcomes)),
        "deadLetters": _channel(
            topics,
            "dead_letters",
            "Records that name no command, as they were received.",
            (DEAD_LETTER,),
        ),
    }
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Tillstream",
            "version": "1",
            "description": _ABOUT,
            "tags": [{"name": ORDERS.name, "description": "The context whose topics these are."}],
        },
        "defaultContentType": JSON_CONTENT,
        "servers": {
            "kafka": {
                "host": "{address}",
                "protocol": "kafka",
                "title": "Kafka",
                "description": "The installation's Kafka.",
                "variables": {"address": {"default": "127.0.0.1:9092", "description": "Host and port."}},
            }
        },
        "channels": channels,
        "operations": {
            "takeCommands": {
                "title": "Take commands",
                "action": "receive",
                "channel": _ref("channels", "commands"),
                "summary": "Each command is answered with one distinct outcome, and has its effects once.",
                "description": "Sent again under its id it gets the same outcome. What breaks a rule is "
                "answered by CommandRejected, whose code says why; what names no command, by a dead letter.",
                "messages": _of_channel("commands", COMMAND_TYPES),
                "reply": {
                    "channel": _ref("channels", "outcomes"),
                    "messages": _of_channel("outcomes", tuple(outcomes)),
                },
            },
            "tellEvents": {
                "title": "Tell events",
                "action": "send",
                "channel": _ref("channels", "events"),
                "summary": "Every event, first occurrences in version order of each order.",
                "description": "After a crash an event may come again, byte for byte: pass over a version "
                "that is not above the last of its order.",
                "messages": _of_channel("events", EVENT_TYPES),
            },
            "keepDeadLetters": {
                "title": "Keep dead letters",
                "action": "send",
                "channel": _ref("channels", "deadLetters"),
                "summary": "A record without a readable command id and tenant: nobody could be answered.",
                "description": "It is kept as it was received, with its own headers; those of the dead "
                "letter say where it came from and why it is here.",
                "messages": _of_channel("deadLetters", (DEAD_LETTER,)),
            },
        },
        "components": {"messages": _messages(outcomes), "schemas": _schemas(outcomes)},
    }


def _messages(outcomes: dict[str, Schema]) -> dict[str, Any]:
    messages = {name: _message(name, command_headers(name)) for name in COMMAND_TYPES}
    for name in EVENT_TYPES:
        messages[name] = _message(name, event_headers(name, ORDER.schema_versions[name]))
    messages |= {name: _message(name, outcome_headers(name)) for name in outcomes}
    messages[DEAD_LETTER] = {
        "name": DEAD_LETTER,
        "title": "Dead letter",
        "summary": "A record as it was received, with where it came from and why it is here.",
        "headers": dead_letter_headers(),
        "payload": {"description": "The bytes as they were received."},
        "examples": _examples(DEAD_LETTER),
    }
    return messages


def _schemas(outcomes: dict[str, Schema]) -> dict[str, Schema]:
    return {
        **{name: command_schema(name) for name in COMMAND_TYPES},
        **{name: event_schema(name) for name in EVENT_TYPES},
        **outcomes,
    }


def _channel(topics: Topics, channel: str, description: str, messages: Sequence[str]) -> dict[str, Any]:
    topic = getattr(topics, channel)
    settings = {**COMMON, **topics.configurations()[topic]}
    return {
        "address": topic,
        "title": _TITLES[channel],
        "description": description,
        "servers": [_ref("servers", "kafka")],
        "messages": {name: _ref("components/messages", name) for name in messages},
        "bindings": {
            "kafka": {
                "topic": topic,
                "partitions": PARTITIONS,
                "topicConfiguration": {
                    "cleanup.policy": [settings["cleanup.policy"]],
                    "retention.ms": int(settings["retention.ms"]),
                    "max.message.bytes": int(settings["max.message.bytes"]),
                },
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def _message(name: str, headers: Schema) -> dict[str, Any]:
    return {
        "name": f"{ORDERS.type_prefix}{name}",
        "title": name,
        "contentType": JSON_CONTENT,
        "headers": headers,
        "payload": _ref("components/schemas", name),
        "correlationId": {
            "description": "Ties a command to its outcome and its events.",
            "location": "$message.header#/ce_correlationid",
        },
        "bindings": {
            "kafka": {
                "key": {
                    **UUID_SCHEMA,
                    "description": "The order's id; of an outcome to a command that names no order, the "
                    "command's."
                    if name in {ACCEPTED, REJECTED}
                    else "The order's id.",
                },
                "bindingVersion": _BINDING_VERSION,
            }
        },
        "examples": _examples(name),
    }


def _examples(name: str) -> list[dict[str, Any]]:
    found = [each for each in conversation() if _named(each) == name]
    return [{"headers": dict(each.headers), "payload": each.payload} for each in found[:_MOST_EXAMPLES]]


def _named(example: Example) -> str:
    return DEAD_LETTER if example.topic == ORDERS.topics().dead_letters else example.message_type


def _ref(place: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/{place}/{name}"}


def _of_channel(channel: str, messages: Sequence[str]) -> list[dict[str, str]]:
    return [_ref(f"channels/{channel}/messages", name) for name in messages]
