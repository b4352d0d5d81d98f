"""A time as it is typed on the command line, and the clock that it is of."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from queries import Clock
from till.errors import TillError

ClockOption = Annotated[
    Clock, typer.Option(help="Go by when events were recorded, or by when terminals say they occurred.")
]


def parse_time(text: str) -> datetime:
    """Return the time that `text` names, in UTC unless it says. Raises TillError when it names none."""
    try:
        moment = datetime.fromisoformat(text)
        # At the ends of the calendar there is a time whose UTC has no name.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise TillError(
            f"{text!r} is no time.", "Write it as 2017-01-01T12:00:00Z, or with an offset such as +02:00."
        ) from None
