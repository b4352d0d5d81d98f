"""A time as it is typed on the command line."""

from datetime import UTC, datetime

from till.errors import TillError


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
