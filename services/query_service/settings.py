"""What the query service reads at start, beside what every service reads."""

import ipaddress
from typing import Annotated, Self

from pydantic import Field, FilePath, model_validator

from query_service.access.development import parse_development_identity
from runtime import Settings

Seconds = Annotated[float, Field(gt=0, le=3600)]


class QuerySettings(Settings):
    """Settings of the query service; durations are seconds, sizes bytes.

    Callers are told apart either by tokens, checked with a key set (RFC 7517), or, on this machine only, by
    one development identity.
    """

    # The key set itself, or the file that it is in.
    jwt_keys: str = ""
    jwt_keys_file: FilePath | None = None
    jwt_issuer: str = ""
    jwt_audience: str = ""
    # tenant:actor:role of whoever sends no token: never where others can connect.
    development_identity: str = ""
    database_connections: Annotated[int, Field(ge=1, le=100)] = 8
    # A question that takes longer is given up.
    statement_timeout: Seconds = 10.0
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 1200
    largest_body: Annotated[int, Field(ge=1024, le=2**20)] = 64 * 1024
    # Sent and waited for at a time; one tenant's are half of them at most.
    commands_in_hand: Annotated[int, Field(ge=1, le=100_000)] = 4000
    streams_per_tenant: Annotated[int, Field(ge=1, le=10_000)] = 100

    @model_validator(mode="after")
    def _somebody_can_call(self) -> Self:
        """Refuse to serve nobody, or anybody."""
        if self.development_identity:
            parse_development_identity(self.development_identity)
            if not _is_loopback(self.http_host):
                raise ValueError(
                    "TILLSTREAM_DEVELOPMENT_IDENTITY lets in whoever can connect: it needs a "
                    f"TILLSTREAM_HTTP_HOST of this machine alone, such as 127.0.0.1, not {self.http_host}"
                )
        if bool(self.jwt_keys) and self.jwt_keys_file is not None:
            raise ValueError("TILLSTREAM_JWT_KEYS and TILLSTREAM_JWT_KEYS_FILE exclude each other")
        if self.has_keys:
            for name in ("jwt_issuer", "jwt_audience"):
                if not getattr(self, name):
                    raise ValueError(f"TILLSTREAM_{name.upper()} is needed to check tokens")
        elif not self.development_identity:
            raise ValueError(
                "TILLSTREAM_JWT_KEYS_FILE or TILLSTREAM_JWT_KEYS is needed: without keys nobody can be let in"
            )
        return self

    @property
    def has_keys(self) -> bool:
        """Whether there are keys to check tokens with."""
        return bool(self.jwt_keys) or self.jwt_keys_file is not None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
