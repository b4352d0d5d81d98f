"""Processes that are started with settings that nothing can be done with: a sentence, not a traceback."""

import json
import os
from pathlib import Path

import pytest

from harness.processes import ServiceProcess
from harness.till_process import run_till


@pytest.mark.parametrize("verb", ["up --detach", "lag"])
def test_till_says_it_in_one_line_and_what_to_do(verb: str, tmp_path: Path) -> None:
    """A verb that needs settings, or hands them to services, tells which is wrong before it does anything."""
    environment = {**os.environ, "TILLSTREAM_TENANT_TIME_ZONES": "{}"}
    ended = run_till(environment, tmp_path, *verb.split())
    wrong, advice = ended.stderr.splitlines()
    assert "TILLSTREAM_TENANT_TIME_ZONES: is now part of TILLSTREAM_TENANTS" in wrong
    assert (advice, ended.returncode) == ("Correct it in the environment.", 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("service", ["command_service", "outbox_relay", "query_service", "projector sales"])
async def test_a_service_says_it_in_one_line_and_ends(service: str, tmp_path: Path) -> None:
    """A service that is started with a wrong setting logs one line that names it, and no traceback."""
    with ServiceProcess(tmp_path, *service.split(), tenants='{"7": {"time_zone": "Mars/Base"}}') as process:
        assert await process.ended() == 70
        (line,) = process.log.splitlines()
    assert "TILLSTREAM_TENANTS: 7.time_zone: 'Mars/Base' is no IANA time zone" in json.loads(line)["reason"]
