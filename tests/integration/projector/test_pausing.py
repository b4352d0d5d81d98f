"""Pausing a read model through the database, as its projector's process sees it."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from integration.projector.order_log import CONFIRM, create, item, order_key, random_log
from integration.projector.processes import Installation, checkpoints, until
from messaging import KafkaConnection, group_members
from operations import pause, recorded, resume

NAME = "order_summary"


@pytest.fixture
async def installation(kafka_server: Any, database: Any, topic_prefix: str, tmp_path: Path) -> Installation:
    """Give an installation with its topics made."""
    made = Installation(kafka_server, database, topic_prefix, tmp_path)
    await made.make_topics()
    return made


@pytest.fixture
async def operator(database: Any) -> Any:
    """Give the operator's connection."""
    connection = await asyncpg.connect(database.dsn("operator"))
    yield connection
    await connection.close()


async def members(installation: Installation) -> list[str]:
    return await group_members(
        KafkaConnection(installation.kafka.bootstrap_servers), installation.group(NAME)
    )


async def test_a_paused_projector_leaves_its_group_and_comes_back(
    installation: Installation, conn: asyncpg.Connection, operator: asyncpg.Connection
) -> None:
    """A paused projector lives outside of its group and applies nothing; resumed, it applies the rest."""
    log = random_log(20)
    await log.store(conn)
    async with recorded(operator, "ann@here", "pause", {"read_model": NAME}) as action:
        pass
    with installation.running(NAME) as process:
        ends = await installation.send(log)
        await installation.level(conn, NAME, ends)
        assert await members(installation)

        assert await pause(operator, NAME, "operator", action.id)
        assert not await pause(operator, NAME, "operator", action.id)

        async def left() -> bool:
            return not await members(installation)

        await until(left, "the group is empty")
        log.do(order_key("late"), create(), item("1"), CONFIRM)
        await log.store(conn)
        ends, before = await installation.send(log, already=ends), ends
        # A cause of its own, as a replay has: the end of one leaves the other in force.
        await pause(operator, NAME, "replay", action.id)
        assert await resume(operator, NAME, "operator")
        assert not await members(installation)
        assert process.poll() is None
        assert await checkpoints(conn, NAME) == before

        assert await resume(operator, NAME, "replay")
        await installation.level(conn, NAME, ends)


async def test_a_pause_outlives_a_restart(
    installation: Installation, conn: asyncpg.Connection, operator: asyncpg.Connection
) -> None:
    """A projector that starts while its read model is paused does not join, and ends at SIGTERM with 0."""
    async with recorded(operator, "ann@here", "pause", {"read_model": NAME}) as action:
        await pause(operator, NAME, "operator", action.id)
    with installation.running(NAME) as process:

        async def standing_by() -> bool:
            return b"projector.wanted" in installation.output(NAME).read_bytes()

        await until(standing_by, "the projector has seen the pause")
        assert await members(installation) == []
        assert await checkpoints(conn, NAME) == []
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0


async def test_actions_are_kept_as_they_were_recorded(operator: asyncpg.Connection) -> None:
    """An action has its person, its arguments and how it ended; nobody can change it afterwards."""

    async def fail() -> None:
        async with recorded(operator, "ann@here", "replay", {"read_model": NAME}) as action:
            action.details["orders"] = 3
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await fail()
    row = await operator.fetchrow(
        "SELECT actor, role, action, arguments, outcome, details"
        " FROM operations.actions JOIN operations.results ON action_id = id"
    )
    assert row["actor"] == "ann@here"
    assert row["role"] == "tillstream_operator"
    assert row["outcome"] == "failed"
    assert '"orders": 3' in row["details"]
    assert '"error": "wrong"' in row["details"]
    for change in ("DELETE FROM operations.actions", "UPDATE operations.results SET outcome = 'done'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await operator.execute(change)
