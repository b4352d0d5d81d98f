"""What a swap looks at before it changes anything, on PostgreSQL alone."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pydantic import SecretStr

from integration.projector.order_log import PARTITIONS, TOPIC
from messaging import TopicFacts
from projector.building import catching_up
from projector.building.build_lease import BuildLease
from projector.building.catching_up import CatchingUp
from projector.building.record import BuildJob, read_build
from projector.building.swapping import try_swap
from projector.writing import NextWriter
from readmodels import Sales
from readmodels.assignment import RebuildNeeded
from readmodels.generations import open_live
from runtime import Database, Settings

GONE, THERE = UUID(int=1), UUID(int=2)
_CHECKPOINTS = """
INSERT INTO projections.checkpoints
    (read_model, generation, topic, partition, topic_id, next_offset, epoch, refolding)
SELECT 'sales', $1, $2, number, $3, $4, 1, false FROM generate_series(0, $5 - 1) AS number
"""
_STATES = """
SELECT generation, state, drop_requested FROM projections.generations WHERE read_model = 'sales' ORDER BY 1
"""


@pytest.fixture
async def holding(database: Any) -> AsyncIterator[BuildLease]:
    """Give the right to build any read model, under the projector's role."""
    held = BuildLease(SecretStr(database.dsn("projector")), "any")
    assert await held.acquire()
    yield held
    await held.release()


@pytest.fixture
async def rollback(conn: asyncpg.Connection, holding: BuildLease) -> tuple[BuildJob, Sales]:
    """Give a rollback to the first of two generations that has come to its swap, and that generation."""
    held = await holding.connection()
    kept = await open_live(held, Sales)
    live = Sales(2)
    await live.create_tables(held)
    await live.publish(held)
    await conn.execute("UPDATE projections.generations SET state = 'previous' WHERE read_model = 'sales'")
    await conn.execute(
        "INSERT INTO projections.generations (read_model, generation, state, version)"
        " VALUES ('sales', 2, 'live', 1)"
    )
    build = await conn.fetchval(
        "INSERT INTO operations.builds (read_model, kind, version, generation, state)"
        " VALUES ('sales', 'rollback', 1, 1, 'comparing') RETURNING id"
    )
    assert isinstance(kept, Sales)
    return await read_build(held, build), kept


@pytest.fixture
async def at_work(
    database: Any, holding: BuildLease, rollback: tuple[BuildJob, Sales], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[CatchingUp]:
    """Give a consumer of the kept generation, assigned nothing yet; Kafka has the topic THERE."""

    async def fetch_topic(*_: object) -> TopicFacts:
        return TopicFacts(THERE, PARTITIONS)

    monkeypatch.setattr(catching_up, "fetch_topic", fetch_topic)
    settings = Settings()
    consumer: asyncio.Task[int] = asyncio.create_task(asyncio.sleep(3600, 0))
    writer = NextWriter(settings, Database(SecretStr(database.dsn("projector")), "test"), rollback[1])
    yield CatchingUp(settings, holding, rollback[1], consumer, writer)
    consumer.cancel()


async def states(conn: asyncpg.Connection) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await conn.fetch(_STATES)]


async def no_step() -> None:
    pass


async def test_no_generation_of_a_topic_that_is_gone_is_swapped_in(
    conn: asyncpg.Connection, holding: BuildLease, rollback: tuple[BuildJob, Sales], at_work: CatchingUp
) -> None:
    """The offsets of a topic that was made anew say nothing of the old one: no level, and no swap."""
    await conn.execute(_CHECKPOINTS, 1, TOPIC, GONE, 900, PARTITIONS)
    await conn.execute(_CHECKPOINTS, 2, TOPIC, THERE, 40, PARTITIONS)
    build, kept = rollback
    with pytest.raises(RebuildNeeded, match="generation 1 is of a topic that was deleted and made anew"):
        await at_work.level(no_step)
    with pytest.raises(RebuildNeeded):
        await try_swap(await holding.connection(), build, kept, TOPIC, at_work)
    assert await states(conn) == [(1, "previous", False), (2, "live", False)]


async def test_a_generation_that_is_live_again_is_not_dropped(
    conn: asyncpg.Connection, holding: BuildLease, rollback: tuple[BuildJob, Sales], at_work: CatchingUp
) -> None:
    """A rollback that comes to its swap makes nothing of a wish to drop what it goes back to."""
    for generation in (1, 2):
        await conn.execute(_CHECKPOINTS, generation, TOPIC, THERE, 40, PARTITIONS)
    await conn.execute("UPDATE projections.generations SET drop_requested = true WHERE generation = 1")
    build, kept = rollback
    assert await try_swap(await holding.connection(), build, kept, TOPIC, at_work)
    assert await states(conn) == [(1, "live", False), (2, "previous", False)]
