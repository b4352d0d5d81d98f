"""What is set for each tenant: where its days begin and end, and how far its clocks may be ahead."""

import re
from datetime import time
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

_DAY_END = re.compile(r"(0[0-9]|1[01]):[0-5][0-9]|12:00")


def _known_time_zone(name: str) -> str:
    if name not in available_timezones():
        msg = f"{name!r} is no IANA time zone; use a name such as Europe/Berlin"
        raise ValueError(msg)
    return name


def _day_end(text: object) -> time:
    if not isinstance(text, str) or not _DAY_END.fullmatch(text):
        raise ValueError("must be a time of day from 00:00 to 12:00, such as 04:00")
    return time.fromisoformat(text)


class TenantSettings(BaseModel):
    """One tenant's part of the setting `TILLSTREAM_TENANTS`; what it doesn't say is as for all others.

    `time_zone` is an IANA name. `day_ends_at` is the local time, after midnight, at which a business day ends
    and the next one begins: what is sold before it counts for the day before. A terminal's clock may be
    `clock_ahead_limit` seconds ahead of ours: more is told, and with `refuse_clock_ahead` refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    time_zone: Annotated[str, AfterValidator(_known_time_zone)] = "UTC"
    day_ends_at: Annotated[time, BeforeValidator(_day_end)] = time(0)
    clock_ahead_limit: Annotated[int, Field(strict=True, ge=1, le=86_400)] = 300
    refuse_clock_ahead: StrictBool = False


UNNAMED_TENANT = TenantSettings()
"""What holds for a tenant that the setting doesn't name."""
