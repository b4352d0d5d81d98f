"""Settings of our own processes, read from the environment under the names `TILLSTREAM_*`."""

from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, SecretStr, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict


def _known_time_zone(name: str) -> str:
    if name not in available_timezones():
        msg = f"{name!r} is no IANA time zone; use a name such as Europe/Berlin"
        raise ValueError(msg)
    return name


TimeZoneName = Annotated[str, AfterValidator(_known_time_zone)]


class Settings(BaseSettings):
    """What a service reads at start; a wrong value stops it with an error that names the setting.

    Durations are seconds. `database_url` is the service's own role's
    (`postgresql://tillstream_projector:…@host:port/database`) and is never logged.
    """

    model_config = SettingsConfigDict(env_prefix="TILLSTREAM_", extra="ignore", frozen=True)

    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    database_url: SecretStr = SecretStr("postgresql://127.0.0.1:5432/tillstream")
    # Several installations can share one Kafka cluster: topics and groups begin with it, such as "staging.".
    topic_prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]*$", max_length=64)] = ""
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 0
    log_level: Annotated[str, StringConstraints(pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    # How long a failing batch, or a lost server, is tried again before the process exits non-zero.
    retry_budget: Annotated[float, Field(gt=0, le=3600)] = 20.0
    # The largest number of records handled in one database transaction.
    batch_records: Annotated[int, Field(ge=1, le=10_000)] = 500
    # Work that waits longer than this without progress makes a service unready.
    stalled_after: Annotated[float, Field(gt=0, le=3600)] = 30.0
    # Tenants not named here are on UTC.
    tenant_time_zones: dict[str, TimeZoneName] = {}
