"""Settings, logs, health and the faults that pass."""

import asyncio
import json
import logging
import urllib.error
import urllib.request
from datetime import time

import asyncpg
import pytest
import structlog
from pydantic import ValidationError

from runtime import UNNAMED_TENANT, Health, Settings, is_content_fault, is_passing_fault, serve_http
from runtime.logs import configure_logging


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting out of its bounds stops the start with an error that names it."""
    monkeypatch.setenv("TILLSTREAM_RETRY_BUDGET", "-1")
    with pytest.raises(ValidationError, match="retry_budget"):
        Settings()


def test_what_is_set_of_a_tenant_is_read_from_one_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant has a time zone and an end of its days; what it doesn't say is as for tenants not named."""
    zone, late = {"time_zone": "Europe/Berlin"}, {"day_ends_at": "04:30"}
    monkeypatch.setenv("TILLSTREAM_TENANTS", json.dumps({"a": zone, "b": late, "c": {**zone, **late}}))
    tenants = Settings().tenants
    assert [(tenant.time_zone, tenant.day_ends_at) for tenant in tenants.values()] == [
        ("Europe/Berlin", time(0)),
        ("UTC", time(4, 30)),
        ("Europe/Berlin", time(4, 30)),
    ]
    assert (UNNAMED_TENANT.time_zone, UNNAMED_TENANT.day_ends_at) == ("UTC", time(0))


def test_a_password_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database's address, with its password, never shows when settings are printed or logged."""
    monkeypatch.setenv("TILLSTREAM_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1/t")
    assert "hunter2" not in repr(Settings())


def test_logs_are_json_with_what_was_bound(capsys: pytest.CaptureFixture[str]) -> None:
    """Our own and a library's log lines are JSON objects that name the service and carry bound facts."""
    configure_logging("tested", "INFO")
    try:
        with structlog.contextvars.bound_contextvars(correlation_id="visit-9"):
            structlog.get_logger("ours").info("order.seen", version=3)
            logging.getLogger("theirs").warning("took %s s", 2)
    finally:
        logging.getLogger().handlers.clear()
        structlog.reset_defaults()
    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["version"], ours["correlation_id"]) == ("order.seen", 3, "visit-9")
    assert (theirs["event"], theirs["service"], theirs["level"]) == ("took 2 s", "tested", "warning")


async def test_readiness_names_what_stands_still() -> None:
    """A process with a failing probe is alive but not ready, and says which probe and why."""
    health = Health()
    health.add("fine", lambda: None)
    health.add("relay", lambda: "nothing published for 40 s while rows wait")

    def get(url: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    async with serve_http(health, "127.0.0.1", 0) as port:
        assert (await asyncio.to_thread(get, f"http://127.0.0.1:{port}/healthz"))[0] == 200
        status, body = await asyncio.to_thread(get, f"http://127.0.0.1:{port}/readyz")
    assert status == 503
    assert json.loads(body)["problems"] == {"relay": "nothing published for 40 s while rows wait"}


async def test_a_state_is_told_and_leaves_a_service_ready() -> None:
    """What a service was told to be, such as paused, is in /readyz beside a yes; what is over is not."""
    health = Health()
    health.add("consumer", lambda: None)
    health.add_state("pause", lambda: "paused by operator")
    health.add_state("replay", lambda: None)

    def get(url: str) -> tuple[int, str]:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()

    async with serve_http(health, "127.0.0.1", 0) as port:
        status, body = await asyncio.to_thread(get, f"http://127.0.0.1:{port}/readyz")
    assert (status, json.loads(body)) == (
        200,
        {"ready": True, "problems": {}, "states": {"pause": "paused by operator"}},
    )


async def test_readiness_is_a_metric() -> None:
    """Each probe is 1 or 0 in /metrics, so that an alert sees what /readyz would say."""
    health, problems = Health(), ["no progress for 40 s", None]
    health.add("fine", lambda: None)
    health.add("still", lambda: problems[0])

    def get(url: str) -> set[str]:
        with urllib.request.urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return {line for line in lines if line.startswith("tillstream_ready{")}

    async with serve_http(health, "127.0.0.1", 0) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        assert await asyncio.to_thread(get, url) >= {
            'tillstream_ready{probe="fine"} 1.0',
            'tillstream_ready{probe="still"} 0.0',
        }
        problems.pop(0)
        assert 'tillstream_ready{probe="still"} 1.0' in await asyncio.to_thread(get, url)


@pytest.mark.parametrize(
    ("error", "passing", "content"),
    [
        (asyncpg.ConnectionDoesNotExistError(), True, False),
        (asyncpg.DeadlockDetectedError(), True, False),
        (asyncpg.SerializationError(), True, False),
        (asyncpg.DiskFullError(), True, False),
        (asyncpg.AdminShutdownError(), True, False),
        (asyncpg.InterfaceError("connection is closed"), True, False),
        (asyncpg.ClientConfigurationError("root certificate file does not exist"), True, False),
        (ConnectionRefusedError(), True, False),
        (TimeoutError(), True, False),
        (asyncpg.exceptions._base.DataError("can't encode"), False, True),
        (asyncpg.NumericValueOutOfRangeError(), False, True),
        (asyncpg.CheckViolationError(), False, True),
        (asyncpg.InsufficientPrivilegeError(), False, False),
        (asyncpg.UndefinedTableError(), False, False),
        (ValueError(), False, False),
    ],
)
def test_faults_are_told_apart(error: Exception, *, passing: bool, content: bool) -> None:
    """Trying again is for faults that pass; bisecting for refused content; the rest stops the service."""
    assert (is_passing_fault(error), is_content_fault(error)) == (passing, content)
