"""How a projector takes partitions up: after a crash, from another owner, after a reset that is no rewind."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import TopicPartition

from integration.projector.consuming import NewConsumer
from integration.projector.order_log import TOPIC, random_log
from integration.projector.reading import MOST_NAMES, NAMES, expected, kept, rows, summed
from integration.projector.spoiling import decided
from messaging import Fenced
from readmodels import READ_MODELS, tables_of
from readmodels.assignment import RebuildNeeded
from readmodels.generations import drop_generation, open_live

FIRST = TopicPartition(TOPIC, 0)
SECOND = TopicPartition(TOPIC, 1)


@pytest.mark.parametrize("name", MOST_NAMES)
async def test_a_fenced_projector_writes_nothing(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str
) -> None:
    """A process that was overtaken while it slept gets its batch refused, and its rows are not written."""
    log = random_log(20)
    await log.store(conn)
    sleeper = await new_consumer(log, name)
    await sleeper.step(at_once=5)
    successor = await new_consumer(log, name, sleeper.committed)
    before = await kept(conn, name)
    with pytest.raises(Fenced):
        await sleeper.step()
    assert await kept(conn, name) == before
    await successor.drain()
    with pytest.raises(Fenced):
        await sleeper.step()
    assert await rows(conn, name) == expected(name, log)


async def test_one_partition_taken_fences_the_whole_batch(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """A batch over several partitions of which one was taken by another is rolled back whole."""
    log = random_log(20)
    consumer = await new_consumer(log, "sales")
    await conn.execute("UPDATE projections.checkpoints SET epoch = epoch + 1 WHERE partition = 1")
    with pytest.raises(Fenced):
        await consumer.step()
    assert await kept(conn, "sales") == []
    assert await conn.fetchval("SELECT sum(next_offset) FROM projections.checkpoints") == 0


@pytest.mark.parametrize("name", MOST_NAMES)
async def test_a_crash_before_kafkas_commit_goes_on_from_the_checkpoint(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str
) -> None:
    """What the database committed and Kafka did not know of is not applied twice."""
    log = random_log(30)
    await log.store(conn)
    consumer = await new_consumer(log, name)
    for _ in range(3):
        await consumer.step(at_once=9, commit=False)
    assert {found.offset for found in consumer.committed.values()} == {0}
    successor = await new_consumer(log, name, consumer.committed)
    assert set(successor.positions.values()) == {27}
    await successor.drain()
    assert await rows(conn, name) == expected(name, log)
    assert await decided(conn) == []


async def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """A batch that comes again because nobody heard of its commit counts as done, not as fenced."""
    log = random_log(10)
    consumer = await new_consumer(log, "sales")
    held, positions = dict(consumer.projector._held), dict(consumer.positions)
    await consumer.step()
    consumer.projector._held, consumer.positions = held, positions
    await consumer.drain()
    assert await rows(conn, "sales") == summed(log.orders.values())


async def test_a_reset_to_the_current_offset_after_a_crash_is_no_move(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """Kafka's last acknowledged offset is kept with the next batch: a reset to it drops nothing."""
    log = random_log(30)
    await log.store(conn)
    consumer = await new_consumer(log, "order_summary")
    await consumer.step(at_once=5)
    await consumer.step(at_once=5, commit=False)
    for partition in log.records:
        consumer.reset(partition, 5)
    before = await kept(conn, "order_summary")
    assert set((await consumer.assign()).values()) == {10}
    assert await kept(conn, "order_summary") == before
    assert {row[1] for row in await decided(conn)} == {"no_move"}


async def test_a_rewind_by_one_record_after_a_clean_stop_is_a_rewind(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """A projector that stops cleanly knows that Kafka has its last offset: a step back is no crash."""
    log = random_log(30)
    await log.store(conn)
    consumer = await new_consumer(log, "order_summary")
    await consumer.step(at_once=5)
    await consumer.step(at_once=1)
    await consumer.projector.revoked()
    consumer.reset(FIRST, 5)
    await consumer.assign()
    assert [row[:2] for row in await decided(conn)] == [(0, "rewind_part_way")]


async def test_a_skip_ahead_is_refused_and_recorded(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """A reset past the checkpoint skips nothing: the projector goes on where it was, and keeps a note."""
    log = random_log(20)
    await log.store(conn)
    consumer = await new_consumer(log, "sales")
    await consumer.step(at_once=5)
    end = len(log.records[SECOND])
    consumer.reset(SECOND, end)
    assert (await consumer.assign())[SECOND] == 5
    await consumer.drain()
    assert await rows(conn, "sales") == summed(log.orders.values())
    assert await decided(conn) == [(1, "skip_refused", end, 5, 5)]


async def test_a_topic_made_anew_is_refused(conn: asyncpg.Connection, new_consumer: NewConsumer) -> None:
    """A checkpoint of another topic of the same name stops the projector and stays as it is."""
    log = random_log(10)
    consumer = await new_consumer(log, "sales")
    await consumer.drain()
    await conn.execute("UPDATE projections.checkpoints SET topic_id = $1 WHERE partition = 1", UUID(int=2))
    before = await conn.fetch("SELECT * FROM projections.checkpoints ORDER BY partition")
    with pytest.raises(RebuildNeeded, match="made anew"):
        await consumer.assign()
    assert await conn.fetch("SELECT * FROM projections.checkpoints ORDER BY partition") == before


async def test_tables_of_another_version_are_refused(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """A build whose read model declares another version than the live tables does not write to them."""
    log = random_log(1)
    await new_consumer(log, "sales")
    await conn.execute("UPDATE projections.generations SET version = version + 1")
    with pytest.raises(RebuildNeeded, match=f"made by its version {READ_MODELS['sales'].version + 1}"):
        await new_consumer(log, "sales")


async def test_projectors_that_start_at_the_same_moment_make_the_tables_once(
    conn: asyncpg.Connection, database: Any
) -> None:
    """Several first starts at once all succeed."""
    async with AsyncExitStack() as stack:
        connections = [await asyncpg.connect(database.dsn("projector")) for _ in NAMES * 2]
        for connection in connections:
            stack.push_async_callback(connection.close)
        await asyncio.gather(
            *(
                open_live(connection, READ_MODELS[name])
                for connection, name in zip(connections, NAMES * 2, strict=True)
            )
        )
    assert await conn.fetchval("SELECT count(*) FROM projections.generations") == len(NAMES)


async def test_a_view_that_only_a_dropped_generations_version_had_goes_with_it(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """A rollback to a version without one of the views leaves it behind; it keeps no table."""
    await new_consumer(random_log(1), "sales")
    left_behind = READ_MODELS["sales"](2)
    await left_behind.create_tables(conn)
    await left_behind.publish(conn)
    before, _, _ = READ_MODELS["sales"].view_sql.format(generation=1).partition(";")
    await conn.execute(before)
    await drop_generation(conn, "sales", 2)
    # Beside it are the views that no read model has.
    views = await conn.fetch("SELECT viewname, viewowner FROM pg_views WHERE schemaname = 'read_models'")
    assert [name for name, owner in views if owner == "tillstream_projector"] == ["sales"]
    assert await tables_of(conn, "sales", 2) == {}
