"""Settings that nothing can be done with: a sentence, not a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_core import from_json

from runtime import Settings, WrongSettings, read_settings

WRONG = [
    ("TENANTS", '{"7": {"time_zone": "Mars/Base"}}', "7.time_zone: 'Mars/Base' is no IANA time zone"),
    (
        "TENANTS",
        '{"7": {"day_ends_at": "16:00"}}',
        "7.day_ends_at: must be a time of day from 00:00 to 12:00",
    ),
    (
        "TENANTS",
        '{"7": {"day_ends_at": "12:01"}}',
        "7.day_ends_at: must be a time of day from 00:00 to 12:00",
    ),
    ("TENANTS", '{"7": {"day_ends_at": 4}}', "7.day_ends_at: must be a time of day from 00:00 to 12:00"),
    (
        "TENANTS",
        '{"7": {"clock_ahead_limit": 0}}',
        "7.clock_ahead_limit: Input should be greater than or equal",
    ),
    (
        "TENANTS",
        '{"7": {"refuse_clock_ahead": "no"}}',
        "7.refuse_clock_ahead: Input should be a valid boolean",
    ),
    ("TENANTS", '{"7": {"timezone": "UTC"}}', "7.timezone: is no setting; look for a misspelling"),
    ("TENANTS", "store-7=Europe/Berlin", "must be JSON"),
    ("TENANT_TIME_ZONES", '{"store-7": "Europe/Berlin"}', "is now part of TILLSTREAM_TENANTS: write"),
    ("HTTP_PORT", "http", "valid integer"),
    ("DATABASE_URL", "postgresql://a:secret@x@host/db", "is no address of PostgreSQL"),
]


@pytest.mark.parametrize(("name", "value", "rule"), WRONG)
def test_a_wrong_setting_is_named_with_its_rule(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, rule: str
) -> None:
    """The text has the setting as it is written in the environment and what it must be, never the secret."""
    monkeypatch.setenv(f"TILLSTREAM_{name}", value)
    with pytest.raises(WrongSettings, match=f"TILLSTREAM_{name}: .*{rule}") as told:
        read_settings(Settings)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("verb", ["up --detach", "lag"])
def test_till_says_it_in_one_line_and_what_to_do(verb: str, tmp_path: Path) -> None:
    """A verb that needs settings, or hands them to services, tells which is wrong before it does anything."""
    ended = subprocess.run(
        [sys.executable, "-m", "till", *verb.split()],
        env={**os.environ, "TILLSTREAM_TENANT_TIME_ZONES": "{}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    wrong, advice = ended.stderr.splitlines()
    assert "TILLSTREAM_TENANT_TIME_ZONES: is now part of TILLSTREAM_TENANTS" in wrong
    assert (advice, ended.returncode) == ("Correct it in the environment.", 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("service", ["command_service", "outbox_relay", "query_service", "projector sales"])
def test_a_service_says_it_in_one_line_and_ends(service: str) -> None:
    """A service that is started with a wrong setting logs one line that names it, and no traceback."""
    name, value, rule = WRONG[0]
    ended = subprocess.run(
        [sys.executable, "-m", *service.split()],
        env={**os.environ, f"TILLSTREAM_{name}": value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (line,) = ended.stderr.splitlines()
    assert rule in from_json(line)["reason"]
    assert ended.returncode == 70
