"""Up to which time of record a read model has everything, as `read_models.freshness` tells."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from integration.projector.order_log import RECORDED_AT, create, item, order_key, random_log
from integration.projector.processes import Installation
from integration.projector.rebuilding import Operator
from messaging import KafkaConnection
from projector.completeness import Completeness
from runtime import Database

NAME = "order_summary"
_TOLD = "SELECT complete_until FROM read_models.freshness WHERE read_model = $1"
_UNSENT = """
INSERT INTO outbox (shard, topic, headers) VALUES (0, $1, '[]'), (0, 'some.other', '[]') RETURNING id
"""


class Telling:
    """Finds out once, at once, and looks what an analyst is told."""

    def __init__(self, installation: Installation, database: Any, analyst: asyncpg.Connection) -> None:
        self._kafka = KafkaConnection(installation.kafka.bootstrap_servers)
        self._database, self._topic, self._analyst = database, installation.topics.events, analyst

    async def told(self) -> datetime:
        """Find out, and return it. Raises TimeoutError where something is still to come."""
        held = Database(SecretStr(self._database.dsn("projector")), "test")
        try:
            async with asyncio.timeout(3):
                await Completeness(held, self._kafka, [NAME], self._topic).tell(NAME)
        finally:
            await held.close()
        return await self.known()

    async def known(self) -> datetime:
        moment: datetime = await self._analyst.fetchval(_TOLD, NAME)
        return moment

    async def waits(self) -> None:
        """Check that nothing more is told."""
        before = await self.known()
        with pytest.raises(TimeoutError):
            await self.told()
        assert await self.known() == before


@pytest.fixture
async def telling(installation: Installation, database: Any) -> Any:
    """Give who tells, to an analyst."""
    analyst = await asyncpg.connect(database.dsn("analyst"))
    yield Telling(installation, database, analyst)
    await analyst.close()


async def test_complete_means_that_nothing_recorded_before_is_still_to_come(
    installation: Installation, database: Any, conn: asyncpg.Connection, operator: Operator, telling: Telling
) -> None:
    """A writer's open transaction, what waits in the outbox, and a partition that is behind hold it back."""
    log = random_log(20)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running(NAME):
        await operator.live_level(NAME, ends)
        began: datetime = await conn.fetchval("SELECT clock_timestamp()")
        assert await telling.told() > began

        writer = await asyncpg.connect(database.dsn("command_service"))
        late = writer.transaction()
        await late.start()
        opened = await writer.fetchval("SELECT now()")
        assert await telling.told() == opened
        await late.commit()
        assert await telling.told() > opened
        await writer.close()

        unsent, _ = await conn.fetch(_UNSENT, installation.topics.events)
        await telling.waits()
        await conn.execute("DELETE FROM outbox WHERE id = $1", unsent["id"])
        await telling.told()
    log.do(order_key("late"), create(), item("1"))
    await log.store(conn)
    ends = await installation.send(log, ends)
    await telling.waits()


async def test_a_superuser_who_writes_holds_it_back_and_one_who_reads_does_not(
    installation: Installation, conn: asyncpg.Connection, database: Any
) -> None:
    """A backup takes hours and writes nothing: it does not stop the time up to which all is known."""
    await installation.make_topics()
    projector = await asyncpg.connect(database.dsn("projector"))
    ask = "SELECT operations.recorded_until()"
    async with conn.transaction():
        began = await conn.fetchval("SELECT now()")
        assert await projector.fetchval(ask) > began
        await random_log(1).store(conn)
        assert await projector.fetchval(ask) == began
    assert await projector.fetchval(ask) > began
    await projector.close()


async def test_what_is_parked_holds_it_back(
    installation: Installation, conn: asyncpg.Connection, operator: Operator, telling: Telling
) -> None:
    """A read model that has parked an order is complete only up to before what is parked."""
    log = random_log(5)
    await log.store(conn)
    ends = await installation.send(log)
    aside = next(iter(log.orders))
    with installation.running(NAME):
        await operator.live_level(NAME, ends)
    await conn.execute("UPDATE projections.generations SET complete_until = NULL")
    await conn.execute(
        """
        INSERT INTO projections.parked (
            read_model, generation, tenant_id, order_id, partition, version, newest_version,
            last_offset, error
        ) VALUES ($1, 1, $2, $3, 0, 2, 2, 9, 'broken')
        """,
        NAME,
        *aside,
    )
    assert await telling.told() == RECORDED_AT - timedelta(microseconds=1)
    await conn.execute("DELETE FROM projections.parked")
    assert await telling.told() > RECORDED_AT
