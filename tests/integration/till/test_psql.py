"""till psql: SQL by PostgreSQL's own shell, as the analyst."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.till_process import run_till
from local.servers import MissingPartError
from till.verbs import psql


def environment(database: Any, **more: str) -> dict[str, str]:
    return {"TILLSTREAM_DATABASE_URL": database.dsn("query"), "PATH": "/usr/bin:/bin", **more}


def test_it_asks_as_the_analyst_and_ends_as_psql_does(database: Any, tmp_path: Path) -> None:
    """What stands behind it is psql's; the role may read the log and change nothing of it."""
    settings = environment(database, TILLSTREAM_ANALYST_DATABASE_URL=database.dsn("analyst"))
    asked = run_till(
        settings, tmp_path, "psql", "-At", "-c", "SELECT current_user, count(*) FROM order_events"
    )
    assert (asked.returncode, asked.stdout) == (0, "tillstream_analyst|0\n")
    refused = run_till(settings, tmp_path, "psql", "-c", "DELETE FROM order_events")
    assert refused.returncode == 1
    assert "permission denied for table order_events" in refused.stderr


def test_it_says_what_it_lacks(database: Any, tmp_path: Path) -> None:
    """Without the analyst's address it names the setting and the role."""
    answer = run_till(environment(database), tmp_path, "psql")
    assert answer.returncode == 1
    assert "TILLSTREAM_ANALYST_DATABASE_URL (the role is tillstream_analyst)" in answer.stderr


@pytest.mark.parametrize(
    ("own", "there", "with_tls", "expected"),
    [
        ("/usr/bin/psql", True, False, "embedded"),
        ("/usr/bin/psql", True, True, "/usr/bin/psql"),
        (None, True, True, "embedded"),
        ("/usr/bin/psql", False, False, "/usr/bin/psql"),
    ],
)
def test_it_takes_the_psql_that_can(
    monkeypatch: pytest.MonkeyPatch, own: str | None, there: bool, with_tls: bool, expected: str
) -> None:
    """The servers' own version first; but that has no TLS, and is not installed everywhere."""

    def embedded(_name: str) -> str:
        if not there:
            raise MissingPartError("not installed", "install it")
        return "embedded"

    monkeypatch.setattr(shutil, "which", lambda _name: own)
    monkeypatch.setattr(psql, "postgres_tool", embedded)
    assert psql._program(with_tls=with_tls) == expected
