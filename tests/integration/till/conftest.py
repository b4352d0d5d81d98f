"""Verbs run in-process against a test's servers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from till.app import app

Till = Callable[..., Any]


@pytest.fixture
def till(database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Till:
    """Run a verb as the role `query` and give its JSON answer; what it raises is raised."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TILLSTREAM_DATABASE_URL", database.dsn("query"))

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, [*arguments, "-o", "json"])
        if result.exception is not None:
            raise result.exception
        return json.loads(result.stdout)

    return run
