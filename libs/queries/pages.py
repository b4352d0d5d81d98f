"""Answers page by page: a cursor names the last row of a page, and the next begins after it.

Keyset paging: however far a client has got, a page costs the same, and rows that come meanwhile neither
repeat nor push out others. A row whose own place moves meanwhile may come twice or not at all.

A cursor is no secret and no permission: it is bound to its question only so that a mistake is told, and what
it holds is checked like any other value from outside.
"""

import hashlib
import re
from base64 import b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import Field
from pydantic_core import from_json, to_json

T = TypeVar("T")
NotTold = Annotated[str, Field(exclude=True)]
"""Whose a row is: who asks for one tenant's rows is not told."""

LONGEST_CURSOR = 1_000
# Numbers as we write them: no exponent, and short enough for every column.
_PLAIN_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,20})?")


class BadCursor(ValueError):
    """A cursor that is none of ours, or one of another question: another filter, order or tenant."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the cursor of the next ones; None: there are no more."""

    items: tuple[T, ...]
    next_cursor: str | None


class Cursors:
    """The cursors of one question: written from a row's place, and read back to it.

    `question` is all that decides which rows there are and in which order; `types` reads each value of a
    place from its text. A value that is None stays None.
    """

    def __init__(self, question: Sequence[object], types: Sequence[Callable[[str], Any]]) -> None:
        text = to_json([str(each) for each in question])
        self._question = hashlib.sha256(text).hexdigest()[:16]
        self._types = types

    def write(self, place: Sequence[object]) -> str:
        """Return the cursor of a row's place."""
        texts = [None if value is None else _text(value) for value in place]
        return urlsafe_b64encode(to_json([self._question, *texts])).decode().rstrip("=")

    def read(self, cursor: str) -> tuple[Any, ...]:
        """Return the place that a cursor names. Raises BadCursor."""
        try:
            question, *texts = _decoded(cursor)
            place = tuple(
                None if text is None else read(text) for read, text in zip(self._types, texts, strict=True)
            )
        except (Error, ArithmeticError, TypeError, ValueError) as error:
            raise BadCursor("is no cursor that was given out here") from error
        if question != self._question:
            raise BadCursor("was given out for another question: with another filter or order")
        return place

    def page(self, rows: Sequence[T], limit: int, place: Callable[[T], Sequence[object]]) -> Page[T]:
        """Return the page of rows that were asked for with one more than its limit."""
        items = tuple(rows[:limit])
        more = len(rows) > limit
        return Page(items, self.write(place(items[-1])) if more else None)


def a_time(text: str) -> datetime:
    """Read a time of a cursor."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the time needs a time zone")
    return moment.astimezone(UTC)


def a_day(text: str) -> date:
    """Read a day of a cursor."""
    return date.fromisoformat(text)


def an_id(text: str) -> UUID:
    """Read an order's or a command's id of a cursor."""
    return UUID(text)


def a_number(text: str) -> Decimal:
    """Read an amount of a cursor."""
    if not _PLAIN_NUMBER.fullmatch(text):
        raise ValueError("is no plain number")
    return Decimal(text)


def a_count(text: str) -> int:
    """Read a whole number of a cursor, as a column of type integer holds it."""
    number = a_number(text)
    if number != number.to_integral_value() or abs(number) >= 2**31:
        raise ValueError("is no whole number")
    return int(number)


def a_text(text: str) -> str:
    """Read an identifier of a cursor."""
    if not text.isprintable():
        raise ValueError("is no identifier")
    return text


def _text(value: object) -> str:
    match value:
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)


def _decoded(cursor: str) -> list[str | None]:
    if len(cursor) > LONGEST_CURSOR:
        raise ValueError("is too long")
    raw = b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    found = from_json(raw)
    if not isinstance(found, list) or not all(each is None or isinstance(each, str) for each in found):
        raise TypeError("holds something else")
    return found
