"""CloudEvents 1.0 over Kafka, binary and structured mode.

Written against the Kafka protocol binding for CloudEvents 1.0.2. The CloudEvents SDK is not on this path: it
keeps headers in a mapping (of a doubled header one is lost unseen), makes up an id and a time where they are
missing, and parses with the standard `json`; the tests use it as the other side of the wire.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

import jiter

from messaging.aiokafka_fixes.header_names import is_utf8, written_out
from messaging.attributes import Attributes

JSON_CONTENT = "application/json"
STRUCTURED_JSON_CONTENT = "application/cloudevents+json"
_PREFIX = "ce_"
_CONTENT_TYPE = "content-type"
_DATA_CONTENT_TYPE = "datacontenttype"
_CLOUD_EVENTS_CONTENT = "application/cloudevents"
_ONE_EVENT = f"one event a record: as {STRUCTURED_JSON_CONTENT}, or in binary mode with ce_ headers"
_NOT_PARSED = object()
_FAULTS_TOLD = 3

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
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
    """One record's attributes, and its data, which is parsed when it is asked for.

    `faults` name what is wrong with the envelope, whether or not anybody reads it, each with its rule.
    """

    __slots__ = ("_data", "_largest", "_value", "attributes", "faults")

    def __init__(
        self,
        attributes: Attributes,
        value: bytes | None,
        data: object = _NOT_PARSED,
        *,
        faults: tuple[str, ...] = (),
        largest: int | None = None,
    ) -> None:
        self.attributes = attributes
        self.faults = faults
        self._value = value
        self._data = data
        self._largest = largest

    def data(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the JSON data; none at all counts as an empty object.

        Raises Undecodable when the content is not JSON, or larger than the envelope was opened for.
        """
        if self._data is not _NOT_PARSED:
            return self._data
        content_type = self.attributes.get(_DATA_CONTENT_TYPE) or JSON_CONTENT
        if content_type != JSON_CONTENT and not content_type.endswith("+json"):
            raise Undecodable(f"datacontenttype: must be {JSON_CONTENT}")
        self._data = parse_json(self._value, self._largest) if self._value else {}
        return self._data


def open_envelope(headers: Headers, value: bytes | None, largest: int | None = None) -> Envelope:
    """Read a record's attributes (names in lower case, without `ce_`), in binary or structured mode.

    Headers of one attribute with one value are one: SDKs write `content-type` and `ce_datacontenttype`. A
    header without a value is none. A value of more than `largest` bytes is not parsed. Raises Undecodable
    where the attributes would be inside of a value that can't be read, and for a header whose name can't.
    """
    texts, wrong, content_type = _read_headers(headers)
    if content_type == STRUCTURED_JSON_CONTENT:
        return _open_structured(parse_json(value or b"", largest))
    # With no attribute in the headers, they are in the value, whatever it is called.
    outside = not texts.keys() - {_DATA_CONTENT_TYPE}
    if content_type.startswith(_CLOUD_EVENTS_CONTENT):
        wrong[_CONTENT_TYPE] = f"content-type: {_shown(content_type)} is not taken; send {_ONE_EVENT}"
        if outside:
            raise Undecodable(wrong[_CONTENT_TYPE])
    elif outside and value and (document := _structured_by_mistake(value, largest)):
        mistaken = f"content-type: must be {STRUCTURED_JSON_CONTENT}, as this is an event in structured mode"
        return _open_structured(document, mistaken)
    return Envelope(Attributes(texts, wrong), value, faults=_first_of(wrong.values()), largest=largest)


def _read_headers(headers: Headers) -> tuple[dict[str, str], dict[str, str], str]:
    """Return attribute → its text, attribute (or header) → what is wrong with it, and the content type."""
    texts: dict[str, str] = {}
    wrong: dict[str, str] = {}
    content_type = ""
    for name, raw in headers:
        lower = name.lower()
        is_attribute = lower.startswith(_PREFIX)
        if not (name.isascii() or is_utf8(name)):
            wrong[name] = f"header {_shown(written_out(name))}: the name is not UTF-8 text"
            if not is_attribute:
                raise Undecodable(wrong[name])
            continue
        if raw is None or not (is_attribute or lower == _CONTENT_TYPE):
            continue
        key = lower[len(_PREFIX) :] if is_attribute else _DATA_CONTENT_TYPE
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            wrong[key] = f"header {_shown(name)}: is not UTF-8 text"
            continue
        if key == _DATA_CONTENT_TYPE:
            text = text.partition(";")[0].strip().lower()
            content_type = content_type if is_attribute else text
        if texts.setdefault(key, text) != text:
            wrong[key] = f"header {_shown(name)}: is given twice, with different values"
    return texts, wrong, content_type


def _first_of(faults: Collection[str]) -> tuple[str, ...]:
    """Return as many as an answer can hold."""
    first = tuple(islice(faults, _FAULTS_TOLD))
    return first if len(faults) == len(first) else (*first, f"{len(faults) - len(first):,} more like these")


def _structured_by_mistake(value: bytes, largest: int | None) -> Any:  # noqa: ANN401 - a JSON object or None
    """Return the CloudEvent that a value holds though nothing says so, else None."""
    try:
        document = parse_json(value, largest) if b'"specversion"' in value else None
    except Undecodable:
        return None
    return document if isinstance(document, Mapping) and "specversion" in document else None


def _open_structured(document: Any, *mistakes: str) -> Envelope:  # noqa: ANN401 - any JSON value
    if not isinstance(document, Mapping):
        raise Undecodable("value: a structured CloudEvent must be a JSON object")
    texts: dict[str, str] = {}
    wrong: dict[str, str] = {}
    faults = list(mistakes)
    for name, item in document.items():
        if name == "data" or item is None:
            continue
        if name == "data_base64":
            faults.append("data_base64: is not taken; send the data as JSON in `data`")
            continue
        # CloudEvents' integer attributes are JSON numbers in this mode and text in the other.
        texts[name] = str(item)
        if isinstance(item, bool) or not isinstance(item, str | int):
            wrong[name] = f"{_shown(name)}: an attribute must be text or a whole number"
            # CloudEvents knows Booleans: only who reads the attribute minds.
            if not isinstance(item, bool):
                faults.append(wrong[name])
    return Envelope(Attributes(texts, wrong), None, document.get("data", {}), faults=_first_of(faults))


@lru_cache(maxsize=1024)
def format_time(moment: datetime) -> bytes:
    """Return a UTC time as RFC 3339 writes it."""
    # Cached: the messages of a batch share most of their times.
    return moment.isoformat().replace("+00:00", "Z").encode()
