"""Several read models in one process: each in its own group, and none in the way of the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from harness.waiting import eventually
from integration.projector.order_log import CONFIRM, OrderLog, create, item, order_key, random_log
from integration.projector.processes import Installation
from messaging import KafkaConnection, group_members
from operations import pause, recorded
from projector import process as projector_process
from projector.process import ProjectorProcess
from runtime import EXIT_FATAL, Health, Settings

NAMES = ["order_summary", "sales"]
_TABLES = {"order_summary": "order_summary_1", "sales": "sales_1_orders"}


@asynccontextmanager
async def running(installation: Installation, health: Health) -> AsyncIterator[asyncio.Task[int]]:
    """Have one process keep both up to date until the body ends."""
    settings = Settings(
        kafka_bootstrap_servers=installation.kafka.bootstrap_servers,
        database_url=SecretStr(installation.database.dsn("projector")),
        topic_prefix=installation.prefix,
        retry_budget=0.5,
    )
    process = ProjectorProcess(NAMES, settings, health)
    task = asyncio.create_task(process.run())
    try:
        yield task
    finally:
        process.stop()
        await asyncio.wait({task})


async def allow(conn: asyncpg.Connection, verb: str, *names: str) -> None:
    """GRANT or REVOKE what the projector needs to write read models' rows."""
    for name in names:
        preposition = "TO" if verb == "GRANT" else "FROM"
        await conn.execute(f"{verb} INSERT ON projections.{_TABLES[name]} {preposition} tillstream_projector")


async def grown(log: OrderLog, conn: asyncpg.Connection) -> OrderLog:
    """Add an order or more to every partition."""
    for number in range(20):
        log.do(order_key(f"late {number}"), create(), item("1"), CONFIRM)
    await log.store(conn)
    return log


async def told(health: Health, problem: str, text: str) -> None:
    """Wait until readiness tells a problem."""

    async def so() -> bool:
        return text in health.problems().get(problem, "")

    await eventually(so)


@pytest.fixture
async def operator(database: Any) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection of the operator's role."""
    connection = await asyncpg.connect(database.dsn("operator"))
    yield connection
    await connection.close()


async def test_each_is_a_member_of_its_own_group(
    installation: Installation, conn: asyncpg.Connection, operator: asyncpg.Connection
) -> None:
    """A read model that is paused leaves its group, and its neighbour in the process goes on."""
    log = random_log(20)
    await log.store(conn)
    health = Health()
    async with recorded(operator, "ann@here", "pause", {"read_model": "sales"}) as action:
        pass
    async with running(installation, health) as process:
        ends = await installation.send(log)
        for name in NAMES:
            await installation.level(conn, name, ends)
        await pause(operator, "sales", "operator", action.id)

        async def left() -> bool:
            kafka = KafkaConnection(installation.kafka.bootstrap_servers)
            return not await group_members(kafka, installation.group("sales"))

        await eventually(left)
        assert health.states() == {"sales.pause": "paused by operator"}
        ends = await installation.send(await grown(log, conn), already=ends)
        await installation.level(conn, "order_summary", ends)
        assert health.problems() == {}
    assert process.result() == 0


async def test_one_that_gives_up_is_started_again_and_its_neighbour_goes_on(
    installation: Installation, conn: asyncpg.Connection
) -> None:
    """What ends one read model's work ends no other's; once it is mended, it goes on by itself."""
    log = random_log(20)
    await log.store(conn)
    health = Health()
    async with running(installation, health) as process:
        ends = await installation.send(log)
        await installation.level(conn, "sales", ends)
        await allow(conn, "REVOKE", "sales")
        ends = await installation.send(await grown(log, conn), already=ends)
        await told(health, "sales.consumer", "gave up, and starts again")
        await installation.level(conn, "order_summary", ends)
        await allow(conn, "GRANT", "sales")
        await installation.level(conn, "sales", ends)
    assert process.result() == 0


async def test_once_all_have_given_up_the_process_ends(
    installation: Installation, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of which no part works any more ends with status 70, so that its supervisor knows."""
    monkeypatch.setattr(projector_process, "FIRST_REST", 60.0)
    log = random_log(20)
    await log.store(conn)
    async with running(installation, Health()) as process:
        ends = await installation.send(log)
        for name in NAMES:
            await installation.level(conn, name, ends)
        await allow(conn, "REVOKE", *NAMES)
        await installation.send(await grown(log, conn), already=ends)
        async with asyncio.timeout(60):
            assert await asyncio.shield(process) == EXIT_FATAL
