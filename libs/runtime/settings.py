"""Settings of our own processes, read from the environment under the names `TILLSTREAM_*`."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    Field,
    FilePath,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from runtime.tenants import TenantSettings

# Which of an address's servers a connection is made to.
_TARGETS = {"any", "primary", "standby", "prefer-standby", "read-write", "read-only"}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(:[0-9]{1,5})?")


def _address(url: SecretStr) -> SecretStr:
    """Refuse what asyncpg would take apart in the middle of a password, and quote in its error."""
    problem = ValueError(
        "is no address of PostgreSQL: write postgresql://user:password@host:port/database, and percent-encode"
        " what is neither letter nor digit in the password"
    )
    try:
        parts = urlsplit(url.get_secret_value())
    except ValueError:
        raise problem from None
    user, _, hosts = parts.netloc.rpartition("@")
    beside = f"{user}{parts.path}{parts.query}{parts.fragment}"
    if parts.scheme not in {"postgresql", "postgres"} or parts.fragment or "@" in beside:
        raise problem
    if not all(_HOST.fullmatch(host) for host in hosts.split(",")):
        raise problem
    if not _TARGETS.issuperset(parse_qs(parts.query).get("target_session_attrs", [])):
        raise ValueError(f"target_session_attrs in an address must be one of {', '.join(sorted(_TARGETS))}")
    return url


def _taken_into_tenants(zones: str | None) -> None:
    if zones is not None:
        raise ValueError(
            'is now part of TILLSTREAM_TENANTS: write {"store-7": {"time_zone": "Europe/Berlin"}} there'
        )


DatabaseUrl = Annotated[SecretStr, AfterValidator(_address)]
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"]


class WrongSettings(ValueError):
    """Settings that nothing can be done with; the text names each and its rule, and no value."""


class Settings(BaseSettings):
    """What a service reads at start; a wrong value stops it with an error that names the setting.

    Durations are seconds. `database_url` is the service's own role's
    (`postgresql://tillstream_projector:…@host:port/database?sslmode=verify-full&sslrootcert=ca.pem`) and is
    never logged.
    """

    # An error that repeated its input would show passwords.
    model_config = SettingsConfigDict(
        env_prefix="TILLSTREAM_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    kafka_security_protocol: SecurityProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    kafka_sasl_username: str = ""
    kafka_sasl_password: SecretStr = SecretStr("")
    # PEM files. Without the authority's certificate the system's are trusted; a certificate and key of our
    # own are for brokers that ask their clients for one.
    kafka_ssl_ca_file: FilePath | None = None
    kafka_ssl_certificate_file: FilePath | None = None
    kafka_ssl_key_file: FilePath | None = None
    database_url: DatabaseUrl = SecretStr("postgresql://127.0.0.1:5432/tillstream")
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
    # More dead letters than this among a partition's last 1,000 records set their source aside, or hold it.
    dead_letter_limit: Annotated[int, Field(ge=0, le=1000)] = 100
    # How the fleet's clients choose a command's partition: `murmur2` as Java's and ours, `crc32` as those of
    # librdkafka by default; `any` looks at none. Commands that lie elsewhere are told, or refused.
    partitioner: Literal["murmur2", "crc32", "any"] = "murmur2"
    refuse_wrong_partition: bool = False
    # More parked orders of a read model than this stop its projector.
    parked_limit: Annotated[int, Field(ge=0, le=100_000)] = 100
    # Tenants not named here have what UNNAMED_TENANT has: UTC, and days that end at midnight.
    tenants: dict[str, TenantSettings] = {}
    # An earlier name: whoever still sets it alone would have UTC's days without a word.
    tenant_time_zones: Annotated[str | None, AfterValidator(_taken_into_tenants)] = None

    @model_validator(mode="after")
    def _kafka_settings_agree(self) -> Self:
        """Refuse what a person took for secured and would not be."""
        protocol = self.kafka_security_protocol
        password = self.kafka_sasl_password.get_secret_value()
        credentials = {
            "TILLSTREAM_KAFKA_SASL_USERNAME": self.kafka_sasl_username,
            "TILLSTREAM_KAFKA_SASL_PASSWORD": password,
        }
        files = {
            "TILLSTREAM_KAFKA_SSL_CA_FILE": self.kafka_ssl_ca_file,
            "TILLSTREAM_KAFKA_SSL_CERTIFICATE_FILE": self.kafka_ssl_certificate_file,
            "TILLSTREAM_KAFKA_SSL_KEY_FILE": self.kafka_ssl_key_file,
        }
        for settings, part in ((credentials, "SASL"), (files, "SSL")):
            for name, value in settings.items():
                if value and part not in protocol:
                    raise ValueError(f"{name} is set, but TILLSTREAM_KAFKA_SECURITY_PROTOCOL is {protocol}")
        if "SASL" in protocol:
            for name, value in credentials.items():
                if not value:
                    raise ValueError(f"{name} is needed where the security protocol is {protocol}")
                if not (value.isascii() and value.isprintable()):
                    raise ValueError(f"{name} must be printable ASCII")
        if protocol == "SASL_PLAINTEXT" and self.kafka_sasl_mechanism == "PLAIN":
            raise ValueError(
                "TILLSTREAM_KAFKA_SASL_MECHANISM PLAIN would send the password unencrypted: use SASL_SSL"
            )
        if bool(self.kafka_ssl_certificate_file) != bool(self.kafka_ssl_key_file):
            raise ValueError(
                "TILLSTREAM_KAFKA_SSL_CERTIFICATE_FILE and TILLSTREAM_KAFKA_SSL_KEY_FILE go together"
            )
        return self

    @model_validator(mode="after")
    def _a_partition_can_be_wrong(self) -> Self:
        if self.refuse_wrong_partition and self.partitioner == "any":
            raise ValueError(
                "TILLSTREAM_REFUSE_WRONG_PARTITION needs a TILLSTREAM_PARTITIONER, murmur2 or crc32, to go by"
            )
        return self

    @property
    def sending_partitioner(self) -> str:
        """The partitioner that our own senders of commands use."""
        return "murmur2" if self.partitioner == "any" else self.partitioner


S = TypeVar("S", bound=Settings)
_FIELD = re.compile(r'field "(\w+)"')


def _rule(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        return "is no setting; look for a misspelling"
    return error["msg"].removeprefix("Value error, ")


def _place(loc: Sequence[int | str]) -> Iterator[str]:
    """Name a setting as the environment does, and the place within it."""
    for name in loc[:1]:
        yield f"TILLSTREAM_{name}".upper()
    if loc[1:]:
        yield ".".join(map(str, loc[1:]))


def read_settings(kind: type[S]) -> S:
    """Read settings of a kind from the environment. Raises WrongSettings."""
    try:
        return kind()
    except ValidationError as error:
        wrong = "; ".join(": ".join([*_place(part["loc"]), _rule(part)]) for part in error.errors())
        raise WrongSettings(wrong) from None
    except SettingsError as error:
        # A mapping that is no JSON: the library's text names the field, in its own words.
        named = _FIELD.search(str(error))
        name = f"TILLSTREAM_{named[1]}".upper() if named else str(error)
        raise WrongSettings(f"{name}: must be JSON") from None
