"""Which business day a moment counts for: the day of the local clock, or of the night before."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


def business_day_of(moment: datetime, time_zone: str, ends_at: time) -> date:
    """Return the business day of an aware moment: the latest that the clock on the wall has begun by then.

    A day begins when that clock first shows `ends_at` on its date, or is put forward past it, and lasts until
    the next one begins. So every moment has one day, and days never run backwards, also where the clock is
    put back over the time at which they change.
    """
    local = moment.astimezone(ZoneInfo(time_zone))
    day = local.date() if local.time() >= ends_at else local.date() - _DAY
    # In an hour that comes twice, the first time may have begun the next day already.
    if local.fold and datetime.combine(day + _DAY, ends_at, local.tzinfo).astimezone(UTC) <= moment:
        return day + _DAY
    return day
