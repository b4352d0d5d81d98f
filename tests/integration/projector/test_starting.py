"""How a projector starts: beside running batches, and while the servers are not there yet."""

import asyncio
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from harness.waiting import eventually
from integration.projector.order_log import random_log
from integration.projector.processes import Installation
from projector import read_model_process
from projector.process import ProjectorProcess
from readmodels import READ_MODELS, ReadModel
from readmodels.generations import open_live
from runtime import Health, Settings

NAME = "sales"
INDEXES = "SELECT indexname FROM pg_indexes WHERE schemaname = 'projections' ORDER BY 1"


@pytest.mark.parametrize("name", sorted(READ_MODELS))
async def test_a_start_waits_for_no_batch(database: Any, conn: asyncpg.Connection, name: str) -> None:
    """Where all is made, a start takes no lock that a running batch is in the way of."""
    starting = await asyncpg.connect(database.dsn("projector"))
    live = await open_live(starting, READ_MODELS[name])
    made = await conn.fetch(INDEXES)
    async with conn.transaction():
        await conn.execute(f"LOCK TABLE {', '.join(live.tables)} IN ROW EXCLUSIVE MODE")
        async with asyncio.timeout(10):
            await open_live(starting, READ_MODELS[name])
    assert await conn.fetch(INDEXES) == made
    await starting.close()


async def test_a_start_makes_the_index_that_is_missing(database: Any, conn: asyncpg.Connection) -> None:
    """An index that somebody has dropped is made again, and nothing counts as lost for that."""
    starting = await asyncpg.connect(database.dsn("projector"))
    await open_live(starting, READ_MODELS[NAME])
    made = await conn.fetch(INDEXES)
    await conn.execute("DROP INDEX projections.sales_1_orders_partition")
    await open_live(starting, READ_MODELS[NAME])
    assert await conn.fetch(INDEXES) == made
    await starting.close()


class Faulty:
    """Opens the live generation, but for the first times, when each of the faults happens."""

    def __init__(self, *faults: type[Exception]) -> None:
        self.faults = list(faults)
        self.told = asyncio.Event()

    async def open_live(self, conn: asyncpg.Connection, read_model: type[ReadModel]) -> ReadModel:
        if self.faults:
            raise self.faults.pop(0)
        if not self.told.is_set():
            # A connection that is really lost, again and again.
            await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return await open_live(conn, read_model)


def settings(installation: Installation, budget: float) -> Settings:
    return Settings(
        kafka_bootstrap_servers=installation.kafka.bootstrap_servers,
        database_url=SecretStr(installation.database.dsn("projector")),
        topic_prefix=installation.prefix,
        retry_budget=budget,
    )


async def test_passing_faults_in_a_start_are_tried_again_and_told(
    installation: Installation, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadlock, a server that starts up or is full, a lost connection: readiness tells, and it goes on."""
    faulty = Faulty(
        asyncpg.DeadlockDetectedError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError
    )
    monkeypatch.setattr(read_model_process, "open_live", faulty.open_live)
    log = random_log(5)
    await log.store(conn)
    ends = await installation.send(log)
    health = Health()
    process = ProjectorProcess([NAME], settings(installation, 60.0), health)
    running = asyncio.create_task(process.run())
    try:

        async def told() -> bool:
            assert not running.done(), running.exception()
            return "terminating connection" in health.problems().get("start", "")

        await eventually(told)
        faulty.told.set()
        await installation.level(conn, NAME, ends)
        assert health.problems() == {}
    finally:
        process.stop()
        await asyncio.wait({running})
    assert running.result() == 0


async def test_a_start_that_fails_past_the_budget_ends_the_process(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What doesn't pass within the retry budget is raised, so that a supervisor starts the process anew."""
    monkeypatch.setattr(read_model_process, "open_live", Faulty(*[ConnectionResetError] * 100).open_live)
    process = ProjectorProcess([NAME], settings(installation, 0.5), Health())
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionResetError):
            await process.run()
