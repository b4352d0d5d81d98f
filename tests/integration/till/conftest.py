"""Verbs run in-process against a test's servers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from integration.till.lagging import Bookkeeping, EventTopic
from integration.till.letters_made import Letters
from readmodels import READ_MODELS
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


@pytest.fixture
def events(kafka_server: Any, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> EventTopic:
    """Give the topic of this test's installation."""
    monkeypatch.setenv("TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS", kafka_server.bootstrap_servers)
    monkeypatch.setenv("TILLSTREAM_TOPIC_PREFIX", topic_prefix)
    return EventTopic(kafka_server.bootstrap_servers, topic_prefix)


@pytest.fixture
def books(database: Any, events: EventTopic) -> Bookkeeping:
    """Give the tables behind this test's topic, with live generations that have not got anywhere."""
    made = Bookkeeping(database.dsn(), events.topics.events, events.topic_id)
    for name in READ_MODELS:
        made.live(name)
    return made


@pytest.fixture
def letters(
    till: Till, kafka_server: Any, topic_prefix: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> Letters:
    """Give an installation's topics without a letter yet."""
    assert till
    monkeypatch.setenv("TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS", kafka_server.bootstrap_servers)
    monkeypatch.setenv("TILLSTREAM_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("TILLSTREAM_OPERATOR_DATABASE_URL", database.dsn("operator"))
    return Letters(kafka_server.bootstrap_servers, topic_prefix, database)
