"""Rewinds: orders are folded again from the store, in place, and survive being cut off anywhere."""

from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import TopicPartition

from integration.projector.consuming import Consumer, NewConsumer
from integration.projector.order_log import TOPIC, VOID, OrderLog, random_log
from integration.projector.reading import MOST_NAMES, NAMES, expected, kept, rows, summed
from integration.projector.spoiling import decided, spoil
from messaging import Fenced
from projector import refolding
from readmodels import READ_MODELS
from readmodels.checkpoints import Checkpoints

FIRST = TopicPartition(TOPIC, 0)


class Cut(Exception):
    """Stands for a kill: the transaction in hand is rolled back."""


async def state(conn: asyncpg.Connection, name: str) -> Any:
    further = [await rows(conn, view) for view in READ_MODELS[name].further_views]
    return await rows(conn, name), await kept(conn, name), further


async def drained(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str
) -> tuple[OrderLog, Consumer]:
    log = random_log(40)
    await log.store(conn)
    consumer = await new_consumer(log, name)
    await consumer.drain()
    await consumer.projector.revoked()
    return log, consumer


async def replaying(conn: asyncpg.Connection) -> dict[int, tuple[bool, int | None]]:
    found = await conn.fetch("SELECT partition, refolding, replay_until FROM projections.checkpoints")
    return {row[0]: (row[1], row[2]) for row in found}


@pytest.mark.parametrize("name", NAMES)
async def test_a_rewind_to_the_start_puts_every_row_right(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str
) -> None:
    """A rewind to the start puts a partition's rows right before any record is read again."""
    log, consumer = await drained(conn, new_consumer, name)
    before = await state(conn, name)
    await spoil(conn, name, FIRST.partition)
    assert await state(conn, name) != before
    consumer.reset(FIRST, 0)
    assert (await consumer.assign())[FIRST] == 0
    assert await state(conn, name) == before
    assert (await replaying(conn))[0] == (False, len(log.records[FIRST]))
    await consumer.drain()
    assert await state(conn, name) == before
    assert await decided(conn) == [(0, "rewind_to_start", 0, len(log.records[FIRST]), 0)]


@pytest.mark.parametrize("name", MOST_NAMES)
async def test_rows_that_vanished_come_back_with_a_rewind_to_the_start(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str
) -> None:
    """Orders whose rows are gone can't be folded in place: the topic brings them back."""
    log, consumer = await drained(conn, new_consumer, name)
    tables = (READ_MODELS[name].orders_table, *READ_MODELS[name].further_tables)
    for table in tables:
        await conn.execute(f"DELETE FROM {table.format(generation=1)} WHERE order_id::text < '8'")  # noqa: S608
    for partition in log.records:
        consumer.reset(partition, 0)
    await consumer.assign()
    await consumer.drain()
    assert await rows(conn, name) == expected(name, log)


@pytest.mark.parametrize("name", MOST_NAMES)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
async def test_a_rewind_part_of_the_way_equals_a_rebuild(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str, share: float
) -> None:
    """Orders with events past the rewind are folded again whole, also from events that lie before it."""
    log, consumer = await drained(conn, new_consumer, name)
    before = await state(conn, name)
    offset = int(len(log.records[FIRST]) * share)
    await spoil(conn, name, FIRST.partition, offset)
    consumer.reset(FIRST, offset)
    assert (await consumer.assign())[FIRST] == offset
    assert await state(conn, name) == before
    await consumer.drain(at_once=7)
    assert await state(conn, name) == before
    assert await decided(conn) == [(0, "rewind_part_way", offset, len(log.records[FIRST]), offset)]


@pytest.mark.parametrize("name", ["audit_log", "order_summary"])
async def test_orders_before_a_rewind_part_of_the_way_stay(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str
) -> None:
    """Only orders with an event at or past the rewind are folded again."""
    log, consumer = await drained(conn, new_consumer, name)
    offset = len(log.records[FIRST]) * 9 // 10
    await spoil(conn, name, FIRST.partition)
    wrong = await rows(conn, name)
    consumer.reset(FIRST, offset)
    await consumer.assign()
    key = 1 if name == "audit_log" else 0
    past = {UUID(record.key.decode()) for record in log.records[FIRST][offset:] if record.key}
    right = expected(name, log)
    assert [row for row in await rows(conn, name) if row[key] not in past] == [
        row for row in wrong if row[key] not in past
    ]
    assert [row for row in await rows(conn, name) if row[key] in past] == [
        row for row in right if row[key] in past
    ]
    assert past < {UUID(record.key.decode()) for record in log.records[FIRST] if record.key}


@pytest.mark.parametrize("spoilt", [False, True])
@pytest.mark.parametrize("name", MOST_NAMES)
async def test_a_rewind_cut_off_after_every_page_goes_on_where_it_was(
    conn: asyncpg.Connection,
    new_consumer: NewConsumer,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    spoilt: bool,
) -> None:
    """A projector killed at any page is followed by one that goes on after it; no reader misses an order."""
    monkeypatch.setattr(refolding, "REFOLDED_AT_ONCE", 3)
    log, consumer = await drained(conn, new_consumer, name)
    before = await state(conn, name)
    table = READ_MODELS[name].orders_table.format(generation=1)
    orders = await conn.fetchval(f"SELECT count(*) FROM {table} WHERE partition = $1", FIRST.partition)  # noqa: S608
    if spoilt:
        await spoil(conn, name, FIRST.partition)
    consumer.reset(FIRST, 0)
    pages, note = 0, Checkpoints.refolded_up_to

    async def cut(self: Checkpoints, conn: asyncpg.Connection, partition: int, key: Any) -> None:
        nonlocal pages
        await note(self, conn, partition, key)
        pages += 1
        if pages % 2 == 0:
            raise Cut

    monkeypatch.setattr(Checkpoints, "refolded_up_to", cut)
    cuts = 0
    while True:
        try:
            successor = await new_consumer(log, name, consumer.committed)
        except Cut:
            cuts += 1
            assert cuts < 100
            assert len(await kept(conn, name)) == len(before[1])
            assert (await replaying(conn))[0] == (True, len(log.records[FIRST]))
            if not spoilt:
                assert await state(conn, name) == before
            # Wherever somebody resets it to meanwhile, the rewind is finished first.
            consumer.reset(FIRST, len(log.records[FIRST]) if cuts % 2 else 0)
        else:
            break
    # Each attempt did one page, and lost another.
    assert pages == cuts * 2 + 1
    assert cuts == -(-orders // 3) - 1
    assert await state(conn, name) == before
    await successor.drain()
    assert await state(conn, name) == before


async def test_a_rewind_further_back_starts_one_that_was_cut_off_anew(
    conn: asyncpg.Connection, new_consumer: NewConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an unfinished rewind has done does not count for one that goes further."""
    monkeypatch.setattr(refolding, "REFOLDED_AT_ONCE", 1)
    log, consumer = await drained(conn, new_consumer, "order_summary")
    before = await state(conn, "order_summary")
    consumer.reset(FIRST, len(log.records[FIRST]) // 2)
    settle = Checkpoints.refolded

    async def cut(*_: Any) -> None:
        raise Cut

    monkeypatch.setattr(Checkpoints, "refolded", cut)
    with pytest.raises(Cut):
        await consumer.assign()
    monkeypatch.setattr(Checkpoints, "refolded", settle)
    await spoil(conn, "order_summary", FIRST.partition)
    consumer.reset(FIRST, 0)
    await consumer.assign()
    assert await state(conn, "order_summary") == before


async def test_a_rewind_that_was_overtaken_writes_no_more(
    conn: asyncpg.Connection, new_consumer: NewConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes the partition in mid-rewind fences the pages that are left: the two never write both."""
    monkeypatch.setattr(refolding, "REFOLDED_AT_ONCE", 1)
    _, consumer = await drained(conn, new_consumer, "order_summary")
    await spoil(conn, "order_summary", FIRST.partition)
    wrong = await kept(conn, "order_summary")
    consumer.reset(FIRST, 0)
    hold, pages = Checkpoints.hold, 0

    async def overtaken(self: Checkpoints, *arguments: Any) -> bool:
        nonlocal pages
        pages += 1
        if pages == 3:
            await conn.execute("UPDATE projections.checkpoints SET epoch = epoch + 1")
        return await hold(self, *arguments)

    monkeypatch.setattr(Checkpoints, "hold", overtaken)
    with pytest.raises(Fenced):
        await consumer.assign()
    there = await kept(conn, "order_summary")
    assert sum(before != after for before, after in zip(wrong, there, strict=True)) == 2


async def test_rows_of_orders_that_the_store_does_not_know_go(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """A row that no event stands behind is not of the log, and its share leaves the sums."""
    log, consumer = await drained(conn, new_consumer, "sales")
    await conn.execute(
        "UPDATE projections.sales_1_orders SET order_id = gen_random_uuid()"
        " WHERE partition = 0 AND order_id IN (SELECT order_id FROM projections.sales_1_orders"
        " WHERE partition = 0 AND orders = 1 LIMIT 2)"
    )
    consumer.reset(FIRST, 0)
    await consumer.assign()
    await consumer.drain()
    assert await rows(conn, "sales") == summed(log.orders.values())
    assert len(await kept(conn, "sales")) == len(log.orders)


async def test_a_rewind_folds_what_came_after_it_too(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """Events that arrive while a rewind is read again take effect once."""
    log, consumer = await drained(conn, new_consumer, "sales")
    for partition in log.records:
        consumer.reset(partition, 3)
    await consumer.assign()
    await consumer.step(at_once=2)
    sold = [key for key, order in log.orders.items() if order.status == "confirmed"]
    for key in sold[:5]:
        log.do(key, VOID)
    await log.store(conn)
    await consumer.drain()
    assert await rows(conn, "sales") == summed(log.orders.values())


async def test_a_rewind_within_a_rewind_keeps_its_end(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """A read model counts as replaying until it is where it was before the first of several rewinds."""
    log, consumer = await drained(conn, new_consumer, "order_summary")
    end = len(log.records[FIRST])
    for offset in (end - 2, end // 2, 0):
        consumer.reset(FIRST, offset)
        await consumer.assign()
        await consumer.step(at_once=1)
        assert (await replaying(conn))[0] == (False, end)
