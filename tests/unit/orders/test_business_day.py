"""Which business day a moment counts for."""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orders import Event, OrderConfirmed
from orders.business_day import business_day_of
from orders.commands import ConfirmOrder, CreateOrder
from unit.orders import order_scenarios as scenario

# By an hour and by half of one, at midnight and in the night, to the south and to the north; a day left out.
ZONES = [
    *("UTC", "Asia/Kathmandu", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Havana"),
    *("America/Santiago", "Australia/Lord_Howe", "Antarctica/Troll", "Asia/Beirut", "Pacific/Apia"),
]
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ENDS = st.builds(time, st.integers(0, 11), st.integers(0, 59))


def wall_day(moment: datetime, zone: ZoneInfo, ends_at: time) -> date:
    """Give the day by what the clock on the wall shows just now."""
    local = moment.astimezone(zone).replace(tzinfo=None)
    return (local - timedelta(hours=ends_at.hour, minutes=ends_at.minute)).date()


@cache
def changes_of_clocks(name: str) -> list[datetime]:
    """Give the hours of 2000 to 2030 before which the zone's clocks were put forward or back."""
    zone, found = ZoneInfo(name), []
    moment = datetime(2000, 1, 1, tzinfo=UTC)
    offset = moment.astimezone(zone).utcoffset()
    while moment.year < 2030:
        moment += 6 * HOUR
        now = moment.astimezone(zone).utcoffset()
        if now != offset:
            found.append(moment)
        offset = now
    return found


@st.composite
def moments(draw: st.DrawFn) -> tuple[datetime, str]:
    """Draw a moment, mostly one near a change of the clocks, and a zone."""
    name = draw(st.sampled_from(ZONES))
    near = draw(st.sampled_from([datetime(2026, 3, 1, tzinfo=UTC), *changes_of_clocks(name)]))
    return near + MINUTE * draw(st.integers(-24 * 60, 24 * 60)), name


@settings(max_examples=400, deadline=None)
@given(moments(), ENDS)
@example((datetime(2026, 10, 25, 1, 10, tzinfo=UTC), "Europe/Berlin"), time(2, 30))
@example((datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "Europe/Berlin"), time(2, 30))
def test_a_moments_day_is_the_latest_that_the_clock_on_the_wall_has_begun(
    drawn: tuple[datetime, str], ends_at: time
) -> None:
    """Also where clocks are put forward past the day's end, or back over it: days never run backwards."""
    moment, name = drawn
    zone = ZoneInfo(name)
    # No clock here is put back by more than three hours.
    so_far = (moment - MINUTE * ago for ago in range(4 * 60))
    assert business_day_of(moment, name, ends_at) == max(wall_day(each, zone, ends_at) for each in so_far)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        # In summer Berlin is two hours ahead of UTC.
        (datetime(2026, 7, 3, 23, 30, tzinfo=UTC), date(2026, 7, 3)),
        (datetime(2026, 7, 4, 1, 59, 59, tzinfo=UTC), date(2026, 7, 3)),
        (datetime(2026, 7, 4, 2, 0, tzinfo=UTC), date(2026, 7, 4)),
        # 02:40, before the clocks are put back to 02:00 and after.
        (datetime(2026, 10, 25, 0, 40, tzinfo=UTC), date(2026, 10, 24)),
        (datetime(2026, 10, 25, 1, 40, tzinfo=UTC), date(2026, 10, 24)),
    ],
)
def test_a_sale_before_the_days_end_counts_for_the_day_before(moment: datetime, day: date) -> None:
    """Where the day ends at 04:00 local time, a sale at 01:30 belongs to the night that began before it."""
    assert business_day_of(moment, "Europe/Berlin", time(4)) == day


def test_an_order_fixes_its_business_day_by_the_tenants_end_of_day() -> None:
    """The day is that of the order's creation; the hour of its sale is what the clock on the wall shows."""
    late = datetime(2026, 11, 23, 0, 30, tzinfo=UTC)
    tenant: dict[str, Any] = {"time_zone": "Europe/Berlin", "day_ends_at": time(4)}
    create = CreateOrder(cashier_id="5", currency="EUR")
    created = scenario.given().when(create, occurred_at=late, **tenant).after
    assert created.business_day == date(2026, 11, 22)
    said = create.model_copy(update={"business_day": date(2026, 11, 23)})
    assert scenario.given().when(said, occurred_at=late, **tenant).after.business_day == date(2026, 11, 23)
    order = scenario.Scenario(scenario.fold(created, (Event(scenario.item(), late),)))
    (event,) = order.when(ConfirmOrder(), occurred_at=late + 4 * HOUR, **tenant).events
    confirmed = event.data
    assert isinstance(confirmed, OrderConfirmed)
    assert (confirmed.business_day, confirmed.hour) == (date(2026, 11, 22), 5)
