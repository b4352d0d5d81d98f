"""The bounded values of a message's attributes, read from header text."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

LONGEST_ID = 64
LONGEST_SOURCE = 200
LONGEST_CORRELATION_ID = 128
GREATEST_VERSION = 2**31 - 1
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)

# RFC 9562: written in lower case, read in either. `UUID` alone takes braces, URNs and misplaced hyphens too.
_UUID = re.compile(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")
# RFC 3339 with an offset; `datetime.fromisoformat` alone takes week dates and naive times too.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_NONE: Final[Mapping[str, str]] = {}
_BEYOND_MICROSECONDS = re.compile(r"(\.\d{6})\d+")


class InvalidAttribute(ValueError):
    """An attribute that is missing or out of its bounds; the text names the attribute and the rule."""


class Attributes:
    """The attributes of one message, checked as they are asked for.

    Each getter raises InvalidAttribute with a text such as `tenantid: is required`; where it is in `wrong`,
    that attribute can't be read, and the text is the one given there.
    """

    __slots__ = ("_values", "_wrong")

    def __init__(self, values: Mapping[str, str], wrong: Mapping[str, str] = _NONE) -> None:
        self._values = values
        self._wrong = wrong

    def get(self, name: str) -> str | None:
        """Return the attribute's text as it is, None when it is absent."""
        return self._values.get(name)

    def _required(self, name: str) -> str:
        if name in self._wrong:
            raise InvalidAttribute(self._wrong[name])
        value = self._values.get(name)
        if value is None:
            raise InvalidAttribute(f"{name}: is required")
        return value

    def text(self, name: str, longest: int = LONGEST_ID) -> str:
        """Return 1 to `longest` printable characters."""
        value = self._required(name)
        if not 1 <= len(value) <= longest or not value.isprintable():
            raise InvalidAttribute(f"{name}: must be 1 to {longest} printable characters")
        return value

    def uuid(self, name: str) -> UUID:
        """Return a UUID given in its canonical form, in either case."""
        value = self._required(name)
        if not _UUID.fullmatch(value):
            raise InvalidAttribute(f"{name}: must be a UUID such as {UUID(int=0)}")
        return UUID(value)

    def time(self, name: str) -> datetime:
        """Return an RFC 3339 time with an offset, between 2000 and 2100, in UTC."""
        value = self._required(name)
        if not _TIME.fullmatch(value):
            raise InvalidAttribute(f"{name}: must be a time with an offset, such as 2026-01-31T12:00:00Z")
        try:
            moment = datetime.fromisoformat(_BEYOND_MICROSECONDS.sub(r"\1", value.upper())).astimezone(UTC)
        except (ValueError, OverflowError):
            raise InvalidAttribute(f"{name}: is no time that exists") from None
        if not EARLIEST <= moment < LATEST:
            raise InvalidAttribute(f"{name}: must lie between the years 2000 and 2100")
        return moment

    def integer(self, name: str, least: int = 0) -> int:
        """Return a whole number from `least` to 2^31 - 1, in plain digits."""
        value = self._required(name)
        if not (value.isascii() and value.isdigit() and len(value) <= len(str(GREATEST_VERSION))):
            raise InvalidAttribute(f"{name}: must be a whole number from {least} to {GREATEST_VERSION}")
        number = int(value)
        if not least <= number <= GREATEST_VERSION:
            raise InvalidAttribute(f"{name}: must be a whole number from {least} to {GREATEST_VERSION}")
        return number

    def versions(self, name: str) -> tuple[int, ...]:
        """Return a list of order versions written `3,4`; absent means none."""
        value = self._values.get(name)
        return tuple(int(part) for part in value.split(",")) if value else ()
