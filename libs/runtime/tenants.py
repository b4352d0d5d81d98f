"""What is set for each tenant: where its days begin and end."""

import re
from datetime import time
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

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
    and the next one begins: what is sold before it counts for the day before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    time_zone: Annotated[str, AfterValidator(_known_time_zone)] = "UTC"
    day_ends_at: Annotated[time, BeforeValidator(_day_end)] = time(0)


UNNAMED_TENANT = TenantSettings()
"""What holds for a tenant that the setting doesn't name."""
