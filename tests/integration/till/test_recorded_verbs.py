"""The verbs that operate Kafka, or make the installation, are on the record like every other that acts."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from till.app import app

Recorded = list[tuple[Any, ...]]


class Acting:
    """An installation, and what is recorded in it."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def till(self, *arguments: str) -> Result:
        """Run a verb."""
        return CliRunner().invoke(app, arguments)

    def recorded(self) -> Recorded:
        """Give action, role, arguments, outcome and details of all that was recorded, in order."""

        async def read() -> Recorded:
            conn = await asyncpg.connect(self._database.dsn())
            rows = await conn.fetch(
                "SELECT action, role::text, arguments, outcome, details"
                " FROM operations.actions LEFT JOIN operations.results ON action_id = id ORDER BY id"
            )
            await conn.close()
            return [
                (
                    action,
                    role.removeprefix("tillstream_"),
                    json.loads(arguments),
                    outcome,
                    json.loads(details),
                )
                for action, role, arguments, outcome, details in rows
            ]

        return asyncio.run(read())


@pytest.fixture
def acting(
    database: Any, kafka_server: Any, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Acting:
    """Give an installation with an operator's address, and Kafka's tools exit as the last word says."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "DATABASE_URL": database.dsn("query"),
        "OPERATOR_DATABASE_URL": database.dsn("operator"),
        "KAFKA_BOOTSTRAP_SERVERS": kafka_server.bootstrap_servers,
        "TOPIC_PREFIX": topic_prefix,
    }.items():
        monkeypatch.setenv(f"TILLSTREAM_{name}", value)

    def tool(_name: str, arguments: Sequence[str], *_: object) -> list[str]:
        return [sys.executable, "-c", f"raise SystemExit({arguments[-1] if arguments[-1].isdigit() else 0})"]

    monkeypatch.setattr("till.verbs.kafka.kafka_tool", tool)
    return Acting(database)


@pytest.mark.parametrize("elsewhere", [[], ["--bootstrap-server", "elsewhere:9092"]])
def test_a_tool_that_changes_kafka_is_recorded(acting: Acting, elsewhere: list[str]) -> None:
    """Its arguments without secrets, and how it ended; its exit status is the verb's. Looking is not."""
    arguments = [*elsewhere, "--alter", "--add-config", "SCRAM-SHA-512=[password=x]"]
    assert acting.till("kafka", "configs", *arguments).exit_code == 0
    assert acting.till("kafka", "topics", *elsewhere, "--delete", "--topic", "3").exit_code == 3
    assert acting.till("kafka", "topics", *elsewhere, "--list", "4").exit_code == 4
    kept = {"tool": "configs", "arguments": [*elsewhere, "--alter", "--add-config", "…"]}
    deleted = {"tool": "topics", "arguments": [*elsewhere, "--delete", "--topic", "3"]}
    assert acting.recorded() == [
        ("kafka", "operator", kept, "done", {}),
        ("kafka", "operator", deleted, "failed", {"error": "exit status 3"}),
    ]


def test_kafka_can_be_operated_without_postgresql(acting: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the record can't be written a notice says so, and the tool runs, as without an address."""
    monkeypatch.setenv("TILLSTREAM_OPERATOR_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    ran = acting.till("kafka", "topics", "--delete", "7")
    assert ran.exit_code == 7
    assert "This is not recorded: PostgreSQL at 127.0.0.1:1" in ran.stderr
    monkeypatch.delenv("TILLSTREAM_OPERATOR_DATABASE_URL")
    ran = acting.till("kafka", "topics", "--delete", "7")
    assert (ran.exit_code, ran.stderr) == (7, "")


def test_permissions_are_recorded(acting: Acting, tmp_path: Path) -> None:
    """Who tried to give permissions by which file, and what came of it."""
    (tmp_path / "acls.toml").write_text('[visitor]\nread = ["topic lobby"]\n')
    # This Kafka has no authorizer.
    assert acting.till("acls", "acls.toml").exit_code == 1
    ((action, role, arguments, outcome, details),) = acting.recorded()
    assert (action, role, arguments, outcome) == ("acls", "operator", {"file": "acls.toml"}, "failed")
    assert details["error"]


def test_a_migration_that_made_something_is_recorded(
    acting: Acting, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made is on the record, by the superuser; a migration that finds all there leaves none."""
    monkeypatch.setenv("TILLSTREAM_ADMIN_DATABASE_URL", database.dsn())
    assert acting.till("migrate").exit_code == 0
    assert acting.till("migrate").exit_code == 0
    ((action, role, _, outcome, details),) = acting.recorded()
    assert (action, role, outcome) == ("migrate", "postgres", "done")
    assert details["topics"]
