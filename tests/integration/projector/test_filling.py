"""What the topic no longer has comes from the store."""

from collections.abc import Mapping

import asyncpg
import pytest
from aiokafka import TopicPartition

from integration.projector.consuming import NewConsumer
from integration.projector.order_log import TOPIC, VOID, OrderLog, item, random_log
from integration.projector.reading import MOST_NAMES, NAMES, expected, kept, rows
from integration.projector.spoiling import decided, spoil
from projector import refolding
from readmodels import READ_MODELS, UNKNOWN_OFFSET
from readmodels.checkpoints import forget_all

FIRST = TopicPartition(TOPIC, 0)


def halfway(log: OrderLog) -> Mapping[TopicPartition, int]:
    """Give beginnings of partitions whose first half retention has taken."""
    return {partition: len(records) // 2 for partition, records in log.records.items()}


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a few orders take several pages."""
    monkeypatch.setattr(refolding, "LOOKED_AT_AT_ONCE", 7)
    monkeypatch.setattr(refolding, "REFOLDED_AT_ONCE", 3)
    # Some orders alone have more.
    monkeypatch.setattr(refolding, "EVENTS_AT_ONCE", 9)


@pytest.mark.parametrize("name", NAMES)
async def test_a_first_start_on_a_topic_that_lost_its_first_records(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str
) -> None:
    """Orders whose events the topic has no longer, or in part, are folded from the store first."""
    log = random_log(40)
    await log.store(conn)
    consumer = await new_consumer(log, name, beginnings=halfway(log))
    assert consumer.positions == halfway(log)
    assert await rows(conn, name) == expected(name, log)
    await consumer.drain()
    assert await rows(conn, name) == expected(name, log)


@pytest.mark.parametrize("name", MOST_NAMES)
async def test_records_that_retention_took_before_they_were_applied(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str
) -> None:
    """A projector that comes back too late goes on from the topic's beginning, and lacks nothing."""
    log = random_log(40)
    await log.store(conn)
    consumer = await new_consumer(log, name)
    await consumer.step(at_once=9)
    await consumer.projector.revoked()
    beginning = len(log.records[FIRST]) // 2
    consumer.beginnings[FIRST] = beginning
    assert await consumer.assign() == {**dict.fromkeys(log.records, 9), FIRST: beginning}
    await consumer.drain()
    assert await rows(conn, name) == expected(name, log)
    assert await decided(conn) == [(0, "records_lost", 9, 9, beginning)]


async def test_filling_touches_no_order_that_the_topic_still_tells(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """Orders of other partitions stay as far as their own projector has brought them."""
    log = random_log(40)
    await log.store(conn)
    consumer = await new_consumer(log, "order_summary")
    await consumer.step(at_once=30)
    others = "SELECT * FROM projections.order_summary_1 WHERE partition > 0 ORDER BY 1, 2"
    before = await conn.fetch(others)
    seen = {row["order_id"] for row in before}
    consumer.beginnings[FIRST] = len(log.records[FIRST]) // 2
    await consumer.assign()
    assert [row for row in await conn.fetch(others) if row["order_id"] in seen] == before
    assert {row["version"] for row in before} != {order.version for order in log.orders.values()}
    await consumer.drain()
    assert await rows(conn, "order_summary") == expected("order_summary", log)


@pytest.mark.parametrize("lost_records", [False, True])
@pytest.mark.parametrize("name", MOST_NAMES)
async def test_a_lost_checkpoint_is_made_up_for(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str, *, lost_records: bool
) -> None:
    """Tables without a checkpoint are folded again, and filled in where the topic has lost records."""
    log = random_log(40)
    await log.store(conn)
    consumer = await new_consumer(log, name)
    await consumer.step(at_once=30)
    await consumer.projector.revoked()
    await spoil(conn, name, FIRST.partition)
    await conn.execute("DELETE FROM projections.checkpoints")
    successor = await new_consumer(
        log, name, consumer.committed, beginnings=halfway(log) if lost_records else {}
    )
    await successor.drain()
    assert await rows(conn, name) == expected(name, log)
    assert {row[1] for row in await decided(conn)} == {"checkpoint_lost"}


@pytest.mark.parametrize("name", NAMES)
async def test_tables_dropped_under_their_checkpoints(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str
) -> None:
    """Once the checkpoints of tables that are gone are forgotten, everything comes back."""
    log = random_log(30)
    await log.store(conn)
    consumer = await new_consumer(log, name)
    await consumer.drain()
    await consumer.projector.revoked()
    generation = READ_MODELS[name](1)
    for view in generation.views:
        await conn.execute(f"DROP VIEW read_models.{view}")
    tables = (generation.orders_table, *generation.further_tables, *["projections.sales_{generation}_totals"])
    for table in tables:
        await conn.execute(f"DROP TABLE IF EXISTS {table.format(generation=1)}")
    await forget_all(conn, name, 1)
    successor = await new_consumer(log, name, consumer.committed)
    await successor.drain()
    assert await rows(conn, name) == expected(name, log)


async def test_a_database_restored_from_an_older_backup_goes_on_from_its_checkpoint(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """Older rows and their older checkpoint agree with each other: what follows is read again."""
    log = random_log(30)
    await log.store(conn)
    consumer = await new_consumer(log, "sales")
    await consumer.step(at_once=20)
    await consumer.projector.revoked()
    tables = ("checkpoints", "sales_1_orders", "sales_1_totals")
    for table in tables:
        await conn.execute(f"CREATE TABLE backup_{table} AS TABLE projections.{table}")
    await consumer.assign()
    await consumer.drain()
    for table in tables:
        await conn.execute(f"TRUNCATE projections.{table}")
        await conn.execute(f"INSERT INTO projections.{table} TABLE backup_{table}")
    assert set((await consumer.assign()).values()) == {20}
    await consumer.drain()
    assert await rows(conn, "sales") == expected("sales", log)
    assert {row[1] for row in await decided(conn)} == {"database_restored"}


async def test_a_filled_order_is_folded_again_by_every_later_rewind(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """Nobody knows where on the topic the newest event of a filled order lies, so it counts as past each."""
    log = random_log(40)
    await log.store(conn)
    consumer = await new_consumer(log, "order_summary", beginnings=halfway(log))
    await consumer.drain()
    assert {row[-1] for row in await kept(conn, "order_summary")} == {UNKNOWN_OFFSET}
    await spoil(conn, "order_summary", FIRST.partition)
    consumer.reset(FIRST, len(log.records[FIRST]) - 1)
    await consumer.assign()
    assert await rows(conn, "order_summary") == expected("order_summary", log)


def grow(log: OrderLog) -> None:
    """Add three partitions: from here on, keys belong elsewhere."""
    for number in range(len(log.records), len(log.records) + 3):
        log.records[TopicPartition(TOPIC, number)] = []


def go_on(log: OrderLog) -> None:
    """Have something happen to every order."""
    for key, order in list(log.orders.items()):
        if order.status == "open":
            log.do(key, item("2.00"))
        elif order.status == "confirmed":
            log.do(key, VOID)


@pytest.mark.parametrize("drained", [True, False])
@pytest.mark.parametrize("name", NAMES)
async def test_added_partitions(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str, *, drained: bool
) -> None:
    """Orders with events on two partitions, whose projectors are two processes, end as the log says.

    Also where the second is faster: what is missing comes from the store, and the first changes nothing.
    """
    log = random_log(40)
    await log.store(conn)
    old = frozenset(log.records)
    first = await new_consumer(log, name, partitions=old)
    await first.step(at_once=20)
    if drained:
        await first.drain()
    grow(log)
    go_on(log)
    await log.store(conn)
    added = frozenset(log.records) - old
    assert all(log.records[partition] for partition in added)
    second = await new_consumer(log, name, partitions=added)
    await second.drain(at_once=15)
    await first.drain()
    assert await rows(conn, name) == expected(name, log)
    for partition in log.records:
        await spoil(conn, name, partition.partition)
    await first.projector.revoked()
    await second.projector.revoked()
    everything = await new_consumer(log, name, {**first.committed, **second.committed})
    for partition in log.records:
        everything.reset(partition, 0)
    await everything.assign()
    await everything.drain()
    assert await rows(conn, name) == expected(name, log)


@pytest.mark.parametrize("name", NAMES)
async def test_records_lost_from_a_partition_that_orders_have_left(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str
) -> None:
    """An order whose events are gone from one partition, and whose key names another by now, is found."""
    log = random_log(40)
    await log.store(conn)
    old = frozenset(log.records)
    grow(log)
    gone = {partition: len(log.records[partition]) for partition in old}
    consumer = await new_consumer(log, name, beginnings=gone)
    await consumer.drain()
    assert await rows(conn, name) == expected(name, log)
