"""CloudEvents 1.0 over Kafka, binary and structured mode.

Written against the Kafka protocol binding for CloudEvents 1.0.2. The CloudEvents SDK is not on this path: it
keeps headers in a mapping (of a doubled header one is lost unseen), makes up an id and a time where they are
missing, and parses with the standard `json`; the tests use it as the other side of the wire.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import jiter

from messaging.attributes import Attributes

JSON_CONTENT = "application/json"
STRUCTURED_JSON_CONTENT = "application/cloudevents+json"
_PREFIX = "ce_"
_CONTENT_TYPE = "content-type"
_NOT_PARSED = object()


class Undecodable(ValueError):
    """A record that can't be read as a CloudEvent; the text names the header or field and the rule."""


def parse_json(raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the JSON value, numbers with a fraction or exponent as exact Decimals.

    Raises Undecodable for anything that is not JSON in UTF-8, and for NaN, a repeated key, a lone surrogate,
    a nesting deeper than about 200, a number of thousands of digits.
    """
    try:
        return jiter.from_json(raw, allow_inf_nan=False, catch_duplicate_keys=True, float_mode="decimal")
    except ValueError as error:
        raise Undecodable(f"value: is not JSON: {error}") from None


class Envelope:
    """One record's attributes, and its data, which is parsed when it is asked for."""

    __slots__ = ("_data", "_value", "attributes")

    def __init__(
        self, attributes: Mapping[str, str], value: bytes | None, data: object = _NOT_PARSED
    ) -> None:
        self.attributes = Attributes(attributes)
        self._value = value
        self._data = data

    def data(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the JSON data; none at all counts as an empty object.

        Raises Undecodable when the content is not JSON.
        """
        if self._data is not _NOT_PARSED:
            return self._data
        content_type = self.attributes.get("datacontenttype") or JSON_CONTENT
        if content_type != JSON_CONTENT and not content_type.endswith("+json"):
            raise Undecodable(f"datacontenttype: must be {JSON_CONTENT}")
        return parse_json(self._value) if self._value else {}


def open_envelope(headers: Sequence[tuple[str, bytes]], value: bytes | None) -> Envelope:
    """Read a record's attributes (names in lower case, without `ce_`), in binary or structured mode.

    Raises Undecodable for doubled headers, texts that are not UTF-8 and unreadable structured values.
    """
    attributes: dict[str, str] = {}
    for name, raw in headers:
        lower = name.lower()
        is_attribute = lower.startswith(_PREFIX)
        if not is_attribute and lower != _CONTENT_TYPE:
            continue
        try:
            text = raw.decode()
        except (UnicodeDecodeError, AttributeError):
            raise Undecodable(f"header {name}: is not UTF-8 text") from None
        key = lower[len(_PREFIX) :] if is_attribute else "datacontenttype"
        if key in attributes:
            raise Undecodable(f"header {name}: is given twice")
        attributes[key] = text
    if content_type := attributes.get("datacontenttype"):
        attributes["datacontenttype"] = content_type.partition(";")[0].strip().lower()
        if attributes["datacontenttype"] == STRUCTURED_JSON_CONTENT:
            return _open_structured(value)
    return Envelope(attributes, value)


def _open_structured(value: bytes | None) -> Envelope:
    document = parse_json(value or b"")
    if not isinstance(document, Mapping):
        raise Undecodable("value: a structured CloudEvent must be a JSON object")
    attributes = {}
    for name, item in document.items():
        if name == "data" or item is None:
            continue
        if name == "data_base64":
            raise Undecodable("data_base64: is not taken; send the data as JSON in `data`")
        # CloudEvents' integer attributes are JSON numbers in this mode and text in the other.
        if isinstance(item, bool) or not isinstance(item, str | int):
            raise Undecodable(f"{name[:64]}: an attribute must be text or a whole number")
        attributes[name] = str(item)
    return Envelope(attributes, None, document.get("data", {}))


@lru_cache(maxsize=1024)
def format_time(moment: datetime) -> bytes:
    """Return a UTC time as RFC 3339 writes it."""
    # Cached: the messages of a batch share most of their times.
    return moment.isoformat().replace("+00:00", "Z").encode()
