"""The programs of docs/clients.md."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from clients.toolchains import go_program, java_program, node, run
from harness.installation import Installation, fresh_installation
from harness.servers import Servers
from harness.waiting import eventually

# For who runs them the first time it downloads what they need, and compiles it.
pytestmark = pytest.mark.timeout(600)
PAGE = Path(__file__).parents[2] / "docs" / "clients.md"


def _python(folder: Path, program: str) -> list[str]:
    (folder / "send.py").write_text(program)
    return [sys.executable, str(folder / "send.py")]


def _javascript(folder: Path, program: str) -> list[str]:
    (folder / "send.mjs").write_text(program)
    return [node(folder), "--no-warnings", str(folder / "send.mjs")]


def _java(folder: Path, program: str) -> list[str]:
    (folder / "Send.java").write_text(program)
    return java_program(folder, folder / "Send.java")


LANGUAGES: dict[str, Callable[[Path, str], list[str]]] = {
    "python": _python,
    "javascript": _javascript,
    "java": _java,
    "go": go_program,
}


@pytest.fixture(scope="module")
def installation(
    session_servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Give topics and schema, and a command service that refuses what lies in another partition."""
    with fresh_installation(session_servers, tmp_path_factory.mktemp("documented")) as made:
        made.service("command_service", refuse_wrong_partition="true")
        yield made


@pytest.mark.parametrize("language", LANGUAGES)
async def test_its_commands_are_accepted(
    installation: Installation, conn: asyncpg.Connection, language: str, tmp_path: Path
) -> None:
    """The program runs as printed, and the order whose id it prints is sold; its commands lie right."""
    (program,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    program = program.replace("orders.commands", f"{installation.prefix}orders.commands")
    printed = run(
        LANGUAGES[language](tmp_path, program),
        tmp_path,
        what=f"the program in {language}",
        KAFKA_BOOTSTRAP_SERVERS=installation.bootstrap_servers,
    )
    order = UUID(printed.strip())

    async def answered() -> list[asyncpg.Record] | None:
        rows = await conn.fetch("SELECT code, version FROM command_outcomes WHERE aggregate_id = $1", order)
        return rows if len(rows) == 3 else None

    outcomes = await eventually(answered)
    assert sorted((row["version"], row["code"]) for row in outcomes) == [(1, None), (2, None), (3, None)]
    total = await conn.fetchval(
        "SELECT payload ->> 'total' FROM order_events WHERE aggregate_id = $1 AND version = 3", order
    )
    assert total == "7.00"
