"""What the query service can be set to, and what it refuses to start with."""

from typing import Any

import pytest
from pydantic import ValidationError

from query_service.access.development import is_local_name
from query_service.settings import QuerySettings

KEYS = {"jwt_keys": '{"keys": []}', "jwt_issuer": "https://issuer.test", "jwt_audience": "tillstream"}
SOMEBODY = {"development_identity": "store-1:anna:manager"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "without keys nobody can be let in"),
        ({**KEYS, "jwt_issuer": ""}, "TILLSTREAM_JWT_ISSUER is needed"),
        ({**KEYS, "jwt_audience": ""}, "TILLSTREAM_JWT_AUDIENCE is needed"),
        ({**KEYS, "jwt_keys_file": __file__}, "exclude each other"),
        ({**SOMEBODY, "http_host": "0.0.0.0"}, "of this machine alone"),  # noqa: S104 - refused
        ({**SOMEBODY, "http_host": "10.1.2.3"}, "of this machine alone"),
        ({**SOMEBODY, "http_host": "till.example"}, "of this machine alone"),
        ({**KEYS, **SOMEBODY, "http_host": "::"}, "of this machine alone"),
        ({"development_identity": "store-1:anna"}, "tenant:actor:role"),
        ({"development_identity": "store-1:anna:owner"}, "tenant:actor:role"),
        ({"development_identity": ":anna:manager"}, "tenant:actor:role"),
    ],
)
def test_settings_that_let_in_nobody_or_anybody_are_refused(settings: dict[str, Any], told: str) -> None:
    """Tokens need keys, issuer and audience; an identity without a token needs a loopback address."""
    with pytest.raises(ValidationError, match=told):
        QuerySettings(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        KEYS,
        SOMEBODY,
        {**SOMEBODY, "http_host": "localhost"},
        {**SOMEBODY, "http_host": "::1"},
        {**KEYS, **SOMEBODY},
    ],
)
def test_either_way_in_is_enough(settings: dict[str, Any]) -> None:
    """Keys, or a development identity on this machine alone, or both."""
    assert QuerySettings(**settings).has_keys == ("jwt_keys" in settings)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST:8080", True),
        ("127.0.0.1:8080", True),
        ("[::1]", True),
        ("[::1]:8080", True),
        ("evil.example", False),
        ("localhost.evil.example:8080", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        (None, False),
    ],
)
def test_only_loopback_names_are_this_machine(host: str | None, local: bool) -> None:
    """A name from elsewhere that leads here is not a name of this machine."""
    assert is_local_name(host) == local
