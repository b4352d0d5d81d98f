"""What operators did, and what came of it."""

import asyncio
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from integration.till.conftest import Till
from operations import recorded
from till.app import app


async def act(dsn: str) -> None:
    """Do one thing that works, one that fails, and one that is broken off with its process."""
    conn = await asyncpg.connect(dsn)
    async with recorded(conn, "anna@till", "pause", {"read_model": "sales", "note": ""}) as action:
        action.details["was_paused"] = False
    with pytest.raises(RuntimeError):
        async with recorded(conn, "eve@till", "dead-letters retry", {"dead_letter_id": "\x1b[2Jx"}):
            raise RuntimeError("no broker")
    await conn.execute(
        "INSERT INTO operations.actions (actor, action, arguments) VALUES ('bob', 'rebuild', '{}')"
    )
    await conn.close()


@pytest.fixture
def acted(database: Any) -> None:
    asyncio.run(act(database.dsn("operator")))


@pytest.mark.usefixtures("acted")
def test_actions_tell_who_did_what_and_the_result(till: Till) -> None:
    """Newest first, each action has its actor, role, arguments and result; a broken off one has none."""
    rows = till("actions")
    assert [(row["actor"], row["action"], row["result"]) for row in rows] == [
        ("bob", "rebuild", None),
        ("eve@till", "dead-letters retry", "failed"),
        ("anna@till", "pause", "done"),
    ]
    assert {row["role"] for row in rows} == {"tillstream_operator"}
    assert rows[2]["arguments"] == {"read_model": "sales", "note": ""}
    assert rows[2]["details"] == {"was_paused": False}
    assert rows[1]["details"] == {"error": "no broker"}


@pytest.mark.usefixtures("acted")
@pytest.mark.parametrize(
    ("filters", "actors"),
    [
        (["--action", "pause"], ["anna@till"]),
        (["--action", "dead-letters"], ["eve@till"]),
        (["--action", "dead"], []),
        (["--since", "2020-01-01", "--limit", "2"], ["bob", "eve@till"]),
        (["--since", "2999-01-01"], []),
    ],
)
def test_actions_can_be_chosen(till: Till, filters: list[str], actors: list[str]) -> None:
    """A kind of action, a time and a number each leave what they name."""
    assert [row["actor"] for row in till("actions", *filters)] == actors


@pytest.mark.usefixtures("acted", "till")
def test_a_person_sees_words_and_nothing_steers_the_terminal() -> None:
    """The table says what an action without a result is, and escapes what an argument brought in."""
    told = CliRunner().invoke(app, ["actions", "--limit", "2"], env={"COLUMNS": "250"})
    assert "under way or broken off" in told.stdout
    assert r"dead_letter_id \x1b[2Jx" in told.stdout
    assert "\x1b" not in told.stdout
    assert "There are more than these 2" in told.stderr
