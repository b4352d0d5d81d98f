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

from messaging.aiokafka_fixes.header_names import is_utf8, written_out
from messaging.attributes import Attributes

JSON_CONTENT = "application/json"
STRUCTURED_JSON_CONTENT = "application/cloudevents+json"
_PREFIX = "ce_"
_CONTENT_TYPE = "content-type"
_NOT_PARSED = object()
_QUOTE_START, _QUOTE_END = 64, 32


class Undecodable(ValueError):
    """A record that can't be read as a CloudEvent; the text names the header or field and the rule."""


def parse_json(raw: bytes, largest: int | None = None) -> Any:  # noqa: ANN401 - any JSON value
    """Return the JSON value, numbers with a fraction or exponent as exact Decimals.

    Raises Undecodable for anything that is not JSON in UTF-8, and for NaN, a repeated key, a lone surrogate,
    a nesting deeper than about 200, a number of thousands of digits. What has more than `largest` bytes is
    refused without a look into it.
    """
    if largest is not None and len(raw) > largest:
        raise Undecodable(f"value: must have at most {largest:,} bytes")
    try:
        return jiter.from_json(raw, allow_inf_nan=False, catch_duplicate_keys=True, float_mode="decimal")
    except ValueError as error:
        problem = _shown(str(error))
        if problem.startswith("Internal error"):
            # jiter's words for an exponent that no Decimal can hold.
            problem = f"number out of range{problem[problem.rfind(' at line') :]}"
        raise Undecodable(f"value: is not JSON: {problem}") from None


def _shown(text: str) -> str:
    """Return a text from outside as a message may quote it: printable, without its middle when it is long.

    A parser's message quotes a key of any length and ends with the place, which is kept.
    """
    if len(text) > _QUOTE_START + _QUOTE_END:
        text = f"{text[:_QUOTE_START]}…{text[-_QUOTE_END:]}"
    return text if text.isprintable() else ascii(text)[1:-1]


class Envelope:
    """One record's attributes, and its data, which is parsed when it is asked for."""

    __slots__ = ("_data", "_largest", "_value", "attributes")

    def __init__(
        self,
        attributes: Mapping[str, str],
        value: bytes | None,
        data: object = _NOT_PARSED,
        largest: int | None = None,
    ) -> None:
        self.attributes = Attributes(attributes)
        self._value = value
        self._data = data
        self._largest = largest

    def data(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the JSON data; none at all counts as an empty object.

        Raises Undecodable when the content is not JSON, or larger than the envelope was opened for.
        """
        if self._data is not _NOT_PARSED:
            return self._data
        content_type = self.attributes.get("datacontenttype") or JSON_CONTENT
        if content_type != JSON_CONTENT and not content_type.endswith("+json"):
            raise Undecodable(f"datacontenttype: must be {JSON_CONTENT}")
        self._data = parse_json(self._value, self._largest) if self._value else {}
        return self._data


def open_envelope(
    headers: Sequence[tuple[str, bytes | None]], value: bytes | None, largest: int | None = None
) -> Envelope:
    """Read a record's attributes (names in lower case, without `ce_`), in binary or structured mode.

    A value of more than `largest` bytes is not parsed. Raises Undecodable for doubled or null headers, names
    and texts that are not UTF-8 and unreadable structured values.
    """
    attributes: dict[str, str] = {}
    for name, raw in headers:
        if not (name.isascii() or is_utf8(name)):
            raise Undecodable(f"header {_shown(written_out(name))}: the name is not UTF-8 text")
        lower = name.lower()
        is_attribute = lower.startswith(_PREFIX)
        if not is_attribute and lower != _CONTENT_TYPE:
            continue
        if raw is None:
            raise Undecodable(f"header {_shown(name)}: has no value")
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise Undecodable(f"header {_shown(name)}: is not UTF-8 text") from None
        key = lower[len(_PREFIX) :] if is_attribute else "datacontenttype"
        if key in attributes:
            raise Undecodable(f"header {_shown(name)}: is given twice")
        attributes[key] = text
    if content_type := attributes.get("datacontenttype"):
        attributes["datacontenttype"] = content_type.partition(";")[0].strip().lower()
        if attributes["datacontenttype"] == STRUCTURED_JSON_CONTENT:
            return _open_structured(value, largest)
    return Envelope(attributes, value, largest=largest)


def _open_structured(value: bytes | None, largest: int | None) -> Envelope:
    document = parse_json(value or b"", largest)
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
            raise Undecodable(f"{_shown(name)}: an attribute must be text or a whole number")
        attributes[name] = str(item)
    return Envelope(attributes, None, document.get("data", {}))


@lru_cache(maxsize=1024)
def format_time(moment: datetime) -> bytes:
    """Return a UTC time as RFC 3339 writes it."""
    # Cached: the messages of a batch share most of their times.
    return moment.isoformat().replace("+00:00", "Z").encode()
