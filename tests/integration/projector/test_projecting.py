"""What the projector writes, given the events of a log in any order of delivery."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from eventstore import NewerSchema, VersionNotFound
from integration.projector.consuming import NewConsumer
from integration.projector.order_log import CONFIRM, VOID, OrderLog, create, item, order_key, random_log
from integration.projector.reading import MOST_NAMES, NAMES, blocked, kept, rows, summaries, summed
from orders.commands import ApplyDiscount, ApplyLineDiscount


async def test_a_sale_is_counted_with_its_amounts(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """Gross is before all discounts, discount is the lines' and the order's, net is what is left."""
    log = OrderLog()
    log.do(order_key("a"), create(), item("10.00", "2"), item("5.00"))
    log.do(order_key("a"), ApplyLineDiscount(line_id="1", amount=Decimal("4.00"), authorised_by="bob"))
    log.do(order_key("a"), ApplyDiscount(percent=Decimal(10), authorised_by="bob"), CONFIRM)
    await (await new_consumer(log, "sales")).drain()
    (row,) = await rows(conn, "sales")
    assert row[0] == "store-1"
    assert row[2:5] == (8, "ann", "EUR")
    assert row[5:] == (1, Decimal("25.00"), Decimal("6.10"), Decimal("18.90"), 0)


async def test_only_confirmed_orders_count_as_sales(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """An open order, and one voided while it was open, are neither sales nor voids of a sale."""
    log = OrderLog()
    log.do(order_key("open"), create(), item("3.00"))
    log.do(order_key("left"), create(), item("4.00"), VOID)
    await (await new_consumer(log, "sales")).drain()
    assert await rows(conn, "sales") == []


async def test_a_void_moves_the_sale_out_of_its_day_and_hour(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """A void takes an order's amounts out and counts where the order was sold, not when it was voided."""
    log = OrderLog()
    log.do(order_key("a"), create(), item("10.00"), CONFIRM)
    log.do(order_key("b"), create(), item("1.50"), CONFIRM)
    consumer = await new_consumer(log, "sales")
    await consumer.drain()
    (before,) = await rows(conn, "sales")
    assert before[5:] == (2, Decimal("11.50"), Decimal("0.00"), Decimal("11.50"), 0)
    log.do(order_key("c"), create(), *[item("1.00")] * 99)  # two hours go by
    log.do(order_key("a"), VOID)
    await consumer.drain()
    (after,) = await rows(conn, "sales")
    assert after[:5] == before[:5]
    assert after[5:] == (1, Decimal("1.50"), Decimal("0.00"), Decimal("1.50"), 1)


@pytest.mark.parametrize("at_once", [1, 7, 1000])
async def test_read_models_equal_the_fold_of_the_log(
    conn: asyncpg.Connection, new_consumer: NewConsumer, at_once: int
) -> None:
    """However the events are cut into batches, both read models equal a sum over the folded orders."""
    log = random_log(30)
    await log.store(conn)
    for name in NAMES:
        await (await new_consumer(log, name)).drain(at_once)
    assert await rows(conn, "sales") == summed(log.orders.values())
    assert await rows(conn, "order_summary") == summaries(log.orders.values())


@pytest.mark.parametrize("name", NAMES)
async def test_repeated_events_change_nothing(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str
) -> None:
    """Stretches of the topic that a crashed relay publishes again leave every kept column as it was."""
    log = random_log(40)
    await log.store(conn)
    consumer = await new_consumer(log, name)
    await consumer.drain()
    before = await rows(conn, name), await kept(conn, name)
    for partition in list(log.records):
        log.repeat(partition, 0, 30)
        log.repeat(partition, 10, 20)
    await consumer.drain()
    assert (await rows(conn, name), await kept(conn, name)) == before


@pytest.mark.parametrize("name", NAMES)
async def test_gaps_are_filled_from_the_event_store(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str
) -> None:
    """Events that come out of order give the same rows: what is missing before one is read from the store."""
    log = random_log(40)
    await log.store(conn)
    straight = await new_consumer(log, name)
    await straight.drain()
    expected = await rows(conn, name)
    await conn.execute("TRUNCATE projections.checkpoints")
    for partition, records in log.records.items():
        log.records[partition] = []
        for start in range(0, len(records), 9):
            chunk = records[start : start + 9]
            log.records[partition] += chunk[5:] + chunk[:5]
        log.records[partition] = [
            replace(record, offset=offset) for offset, record in enumerate(log.records[partition])
        ]
    shuffled = await new_consumer(log, name)
    await shuffled.drain(at_once=4)
    assert await rows(conn, name) == expected


def _at(record: Any, offset: int) -> Any:
    return replace(record, offset=offset)


async def test_events_of_the_first_schema_are_lifted(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """Old events still on the topic project as the upcaster chain reads them: no currency then means THB."""
    log, key = OrderLog(), order_key("old")
    log.do(key, create(), item("4.50"), CONFIRM)
    payloads = [
        b'{"tenant_id": "store-1", "cashier_id": 5}',
        b'{"product_id": 3, "name": "Pear", "quantity": 2, "unit_price": 2.25}',
        b'{"total": 4.5}',
    ]
    for partition, records in log.records.items():
        log.records[partition] = [
            replace(record, value=payload, headers=_with(record.headers, "ce_schemaversion", b"1"))
            for record, payload in zip(records, payloads, strict=False)
        ]
    await (await new_consumer(log, "sales")).drain()
    (row,) = await rows(conn, "sales")
    assert row[3:] == ("5", "THB", 1, Decimal("4.50"), Decimal("0.00"), Decimal("4.50"), 0)


async def test_an_event_of_a_newer_build_stops_the_projector(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """A schema version that this build does not know is refused, and nothing of the batch is written."""
    log = OrderLog()
    log.do(order_key("a"), create(), item("1.00"))
    log.do(order_key("b"), create())
    for partition, records in log.records.items():
        log.records[partition] = [
            replace(record, headers=_with(record.headers, "ce_schemaversion", b"9"))
            if dict(record.headers)["ce_version"] == b"2"
            else record
            for record in records
        ]
    consumer = await new_consumer(log, "order_summary")
    with pytest.raises(NewerSchema):
        await consumer.step()
    assert await rows(conn, "order_summary") == []
    assert await conn.fetchval("SELECT sum(next_offset) FROM projections.checkpoints") == 0


@pytest.mark.parametrize("name", MOST_NAMES)
async def test_an_event_that_the_store_lacks_stops_the_projector(
    new_consumer: NewConsumer, name: str
) -> None:
    """A gap that the event store can't fill means a restored database: refused, not papered over."""
    log = OrderLog()
    log.do(order_key("a"), create(), item("1.00"), item("2.00"))
    for partition, records in log.records.items():
        log.records[partition] = [replace(record, offset=offset) for offset, record in enumerate(records[1:])]
    consumer = await new_consumer(log, name)
    with pytest.raises(VersionNotFound):
        await consumer.step()


async def test_a_retry_of_a_failed_batch_applies_it_once(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """A connection that breaks in mid-batch leaves nothing behind, and the same batch goes through after."""
    log = random_log(10)
    await log.store(conn)
    consumer = await new_consumer(log, "sales")
    await consumer.step(at_once=5)
    async with conn.transaction():
        await conn.execute("LOCK TABLE projections.sales_1_orders IN SHARE MODE")
        batch = asyncio.create_task(consumer.step())
        pid = await blocked(conn)
        await conn.execute("SELECT pg_terminate_backend($1)", pid)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await batch
    await consumer.drain()
    assert await rows(conn, "sales") == summed(log.orders.values())


async def test_other_roles_read_the_views_and_not_the_tables(
    database: Any, new_consumer: NewConsumer
) -> None:
    """The query and analyst roles see the views of the read models and nothing of the tables behind."""
    log = random_log(3)
    await (await new_consumer(log, "order_summary")).drain()
    for role in ("query", "analyst"):
        reader = await asyncpg.connect(database.dsn(role))
        try:
            assert len(await rows(reader, "order_summary")) == 3
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await kept(reader, "order_summary")
        finally:
            await reader.close()


def _with(headers: Sequence[tuple[str, bytes]], name: str, value: bytes) -> tuple[tuple[str, bytes], ...]:
    return tuple((found, value if found == name else raw) for found, raw in headers)
