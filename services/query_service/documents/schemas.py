"""JSON Schemas of what commands, events and outcomes carry as they are on the wire."""

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import DecimalSchema, NullableSchema

from orders import COMMAND_TYPES, EVENT_TYPES, ORDER, RejectionCode
from orders.commands import COMMAND_MODELS
from orders.events import EVENT_MODELS

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
UUID_SCHEMA: Mapping[str, Any] = {
    "type": "string",
    "format": "uuid",
    "maxLength": 36,
    "pattern": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
}
# Of a command, by the terminal's clock.
COMMAND_YEARS = "20[0-9]{2}"


def time_schema(years: str) -> Schema:
    """Return the schema of a time of RFC 3339 in these years, which are a pattern such as `20[0-9]{2}`.

    Only the year is in the pattern: the format says the rest, and years by UTC may begin some hours aside.
    """
    return {"type": "string", "format": "date-time", "pattern": f"^({years})-"}


# There are no models of earlier shapes to make schemas from: only what lifts them to the newest.
_EARLIER = (
    " This is schema version {newest}. Events are never rewritten: one of an earlier version comes as it was"
    " written, in a shape of its own that this schema does not describe; its schemaversion tells."
)


class _Written(GenerateJsonSchema):
    """How events are written: exact numbers as text, and what is None not at all."""

    def decimal_schema(self, schema: DecimalSchema) -> Schema:  # noqa: ARG002 - pydantic's
        return {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}

    def nullable_schema(self, schema: NullableSchema) -> Schema:
        return self.generate_inner(schema["schema"])


def command_schema(command_type: str) -> Schema:
    """Return the schema of a command's data, as it may be sent. Raises KeyError for what is no command."""
    return _of_data(COMMAND_MODELS[command_type].model_json_schema(mode="validation"))


def event_schema(event_type: str) -> Schema:
    """Return the schema of an event's data in its newest schema version. Raises KeyError as above."""
    written = EVENT_MODELS[event_type].model_json_schema(schema_generator=_Written, mode="serialization")
    newest = ORDER.schema_versions[event_type]
    # Strict validators refuse a schema with keywords of its own.
    schema = {**_of_data(written), "$comment": f"Schema version {newest}."}
    if newest > 1:
        schema["description"] += _EARLIER.format(newest=newest)
    return schema


def outcome_schemas() -> dict[str, Schema]:
    """Return the schemas of what outcomes carry, by type."""
    return {
        "CommandAccepted": {
            "title": "CommandAccepted",
            "description": "It took effect, or what it asks for was so already: then there are no events.",
            "type": "object",
            "properties": {
                "version": {"type": "integer", "minimum": 0, "description": "The order's, after it."},
                "event_ids": {"type": "array", "items": dict(UUID_SCHEMA)},
            },
            "required": ["version", "event_ids"],
            "additionalProperties": False,
        },
        "CommandRejected": {
            "title": "CommandRejected",
            "description": "The command had no effect, and never will under this id.",
            "type": "object",
            "properties": {
                "code": {
                    "type": "string",
                    "enum": [code.value for code in RejectionCode],
                    "description": "Why, for programs: see docs/rejections.md.",
                },
                "message": {"type": "string", "description": "Why, for people."},
            },
            "required": ["code", "message"],
            "additionalProperties": False,
        },
    }


def standalone(schema: Schema, address: str) -> Schema:
    """Return a schema as a document of its own, to be found at the address."""
    return {"$schema": DIALECT, "$id": address, **schema}


def schema_addresses() -> dict[str, Schema]:
    """Return every command's and event's schema as a document, by its path, such as /schemas/….json."""
    commands = {f"/schemas/commands/{name}.json": command_schema(name) for name in COMMAND_TYPES}
    events = {f"/schemas/events/{name}.json": event_schema(name) for name in EVENT_TYPES}
    return {address: standalone(schema, address) for address, schema in {**commands, **events}.items()}


def _of_data(schema: Schema) -> Schema:
    """Return a model's schema as its data is: the type stands in the envelope, and nothing elsewhere."""
    definitions = schema.pop("$defs", {})
    plain: Schema = _inlined(schema, definitions)
    for members in (plain["properties"], *(part["properties"] for part in plain.get("oneOf", ()))):
        members.pop("type", None)
    for member in plain["properties"].values():
        member.pop("title", None)
        if member.get("default", ...) is None:
            del member["default"]
    return plain


def _inlined(part: Any, definitions: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(part, list):
        return [_inlined(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        defined = definitions[part["$ref"].rpartition("/")[2]]
        # Its name and its notes are the code's own.
        return {name: value for name, value in defined.items() if name not in {"title", "description"}}
    return {name: _inlined(value, definitions) for name, value in part.items()}
