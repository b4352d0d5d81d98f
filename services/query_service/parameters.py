"""What parameters may be: each bounded, each with a rule that reads well after its name."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from orders.fields import DAY_SCHEMA, MAX_IDENTIFIER, Amount, BusinessDay, CurrencyCode, identifier
from queries.pages import LONGEST_CURSOR
from queries.watermarks import WATERMARK_PATTERN, Watermark, parse_watermark
from query_service.documents.schemas import time_schema

HIGHEST_VERSION = 2**31 - 1
LONGEST_WAIT = 30.0
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _moment(value: object) -> datetime:
    """Read a time of RFC 3339: no number that could be taken for one, and never without its offset."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise PydanticCustomError(
            "time", "must be a time with its offset, such as 2026-11-23T12:00:00Z (a + is written %2B)"
        )
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError("time", "must be a time of the calendar") from None
    if not _EARLIEST <= moment < _LATEST:
        raise PydanticCustomError("time", "must be in the years 1900 to 2199")
    return moment


def _point(value: object) -> int | datetime:
    """Read a version or a time."""
    if not isinstance(value, str) or not value.isascii() or not value.isdecimal():
        return _moment(value)
    version = int(value[:12])
    if not 1 <= version <= HIGHEST_VERSION:
        raise PydanticCustomError("version", f"must be a version from 1 to {HIGHEST_VERSION}, or a time")
    return version


def _searched(value: object) -> str:
    return identifier(value.strip() if isinstance(value, str) else value)


def _watermark(value: object) -> Watermark:
    """Read a watermark."""
    try:
        return parse_watermark(str(value))
    except ValueError as error:
        raise PydanticCustomError("watermark", "{rule}", {"rule": str(error)}) from None


def _schema(**members: Any) -> WithJsonSchema:  # noqa: ANN401 - any JSON
    return WithJsonSchema(members)


_TIME_SCHEMA = time_schema("19[0-9]{2}|2[01][0-9]{2}")
_IDENTIFIER_SCHEMA = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_IDENTIFIER,
    "not": {"pattern": "[^!-~]"},
}

OrderId = Annotated[
    UUID, Path(description="The order's id.", examples=["6f2a1c52-0000-4000-8000-000000000001"])
]
OrderIdFilter = Annotated[UUID, Field(description="Of this order.")]
CommandId = Annotated[
    UUID, Path(description="The command's id.", examples=["0b0d6f0e-0000-4000-8000-000000000002"])
]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    _schema(
        **_TIME_SCHEMA,
        description="In the years 1900 to 2199.",
        examples=["2026-03-01T12:00:00Z"],
    ),
]
Point = Annotated[
    int | datetime,
    BeforeValidator(_point),
    _schema(
        anyOf=[
            {"type": "integer", "minimum": 1, "maximum": HIGHEST_VERSION},
            _TIME_SCHEMA,
        ],
        examples=[3, "2026-03-01T12:00:00Z"],
    ),
]
Day = Annotated[
    BusinessDay,
    _schema(**DAY_SCHEMA, description="In the years 2000 to 2100.", examples=["2026-03-01"]),
]
Identifier = Annotated[str, BeforeValidator(identifier), _schema(**_IDENTIFIER_SCHEMA, examples=["anna"])]
Searched = Annotated[str, BeforeValidator(_searched), _schema(**_IDENTIFIER_SCHEMA, examples=["p-1"])]
Currency = Annotated[
    CurrencyCode, _schema(type="string", pattern="^[A-Z]{3}$", maxLength=3, examples=["EUR"])
]
Total = Annotated[
    Amount, _schema(type="string", pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,6})?$", examples=["12.50"])
]
Version = Annotated[int, Field(ge=1, le=HIGHEST_VERSION)]
Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Wait for it as long, in seconds.")]
Since = Annotated[
    Watermark,
    BeforeValidator(_watermark),
    _schema(
        type="string",
        pattern=WATERMARK_PATTERN,
        description="Only what was changed since a list: its `watermark`.",
        examples=["7576412345678901234.1.1-4711:4711:"],
    ),
]
Cursor = Annotated[
    str | None,
    Query(
        max_length=LONGEST_CURSOR, description="Where the next page begins: `next_cursor` of the last one."
    ),
]
