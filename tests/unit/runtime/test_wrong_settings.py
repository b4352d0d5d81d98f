"""Settings that nothing can be done with: a sentence, not a traceback."""

import pytest

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
