"""An order that can't be applied is parked: its neighbours go on, and a retry folds it from the store."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition
from structlog.testing import capture_logs

from eventstore import NewerSchema, StreamKey
from harness.waiting import eventually
from integration.projector.breaking import HOW, Breaker
from integration.projector.consuming import NewConsumer
from integration.projector.order_log import (
    CONFIRM,
    TOPIC,
    VOID,
    OrderLog,
    create,
    item,
    order_key,
    random_log,
)
from integration.projector.reading import MOST_NAMES, NAMES, expected, kept, rows, summed
from messaging import Unrecoverable
from projector import handler
from readmodels import READ_MODELS
from readmodels.checkpoints import Checkpoints

FIRST = TopicPartition(TOPIC, 0)


@pytest.fixture(autouse=True)
def no_retries_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a projector look for wanted retries only when a test tells it to."""
    monkeypatch.setattr(handler, "RETRY_INTERVAL", 3600)


@pytest.fixture
async def operator(database: Any) -> AsyncIterator[asyncpg.Connection]:
    """Give the operator's connection."""
    connection = await asyncpg.connect(database.dsn("operator"))
    yield connection
    await connection.close()


async def parked(conn: asyncpg.Connection) -> dict[StreamKey, asyncpg.Record]:
    found = await conn.fetch("SELECT * FROM projections.parked")
    return {StreamKey(row["tenant_id"], row["order_id"]): row for row in found}


async def want_retries(operator: asyncpg.Connection) -> None:
    await operator.execute("UPDATE projections.parked SET retry_requested = true")


async def applied(conn: asyncpg.Connection, name: str, key: StreamKey) -> int:
    table = READ_MODELS[name].orders_table.format(generation=1)
    found = await conn.fetchval(
        f"SELECT version FROM {table} WHERE tenant_id = $1 AND order_id = $2",  # noqa: S608 - ours
        *key,
    )
    return found or 0


def busiest(log: OrderLog) -> StreamKey:
    return max(log.orders, key=lambda key: log.orders[key].version)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", MOST_NAMES)
async def test_an_order_at_fault_is_parked_and_its_neighbours_go_on(  # noqa: PLR0917 - fixtures
    conn: asyncpg.Connection,
    operator: asyncpg.Connection,
    new_consumer: NewConsumer,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    how: str,
) -> None:
    """The order waits, all others are what they should be, and a retry after a repair ends it."""
    log = random_log(30)
    await log.store(conn)
    key = busiest(log)
    consumer = await new_consumer(log, name)
    breaker = Breaker(log, conn, name, monkeypatch)
    await breaker.break_order(how, key, 3)
    with capture_logs() as logs:
        await consumer.drain()
    (row,) = (await parked(conn)).values()
    before = await applied(conn, name, key)
    assert before < 3
    if how != "database_refuses":
        # The events before it are applied, whatever came with it.
        assert (before, row["version"]) == (2, 3)
    assert StreamKey(row["tenant_id"], row["order_id"]) == key
    assert row["newest_version"] == log.orders[key].version
    assert row["last_offset"] == _last_offset(log, key)
    assert await rows(conn, name) == expected(name, log, {key: before})
    (told,) = [entry for entry in logs if entry["event"] == "projector.order_parked"]
    assert (told["tenant"], told["order"], told["version"]) == (key[0], str(key[1]), row["version"])
    assert "4711" not in str(logs)

    if breaker._mends:
        await want_retries(operator)
        await consumer.projector.retry_parked()
        (again,) = (await parked(conn)).values()
        assert (again["attempts"], again["retry_requested"]) == (2, False)
        assert again["tried_at"] > row["tried_at"]
        assert await rows(conn, name) == expected(name, log, {key: before})
    await breaker.mend()
    await want_retries(operator)
    await consumer.projector.retry_parked()
    assert await parked(conn) == {}
    assert await rows(conn, name) == expected(name, log)
    kept_row = next(each for each in await kept(conn, name) if key.aggregate_id in each)
    assert _last_offset(log, key) in kept_row
    log.do(key, *([VOID] if log.orders[key].status != "voided" else []))
    await log.store(conn)
    await consumer.drain()
    assert await rows(conn, name) == expected(name, log)


def _last_offset(log: OrderLog, key: StreamKey) -> int:
    text = str(key.aggregate_id).encode()
    return max(
        record.offset
        for records in log.records.values()
        for record in records
        if (record.key, dict(record.headers)["ce_tenantid"]) == (text, key.tenant_id.encode())
    )


@pytest.mark.parametrize(("how", "tries"), [("other_shape", 1), ("database_refuses", 2)])
async def test_neighbours_are_retried_at_most_once(
    conn: asyncpg.Connection,
    new_consumer: NewConsumer,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    tries: int,
) -> None:
    """What fails to fold costs its batch nothing; what the database refuses costs it one more try."""
    log = random_log(20)
    await log.store(conn)
    consumer = await new_consumer(log, "sales")
    await Breaker(log, conn, "sales", monkeypatch).break_order(how, busiest(log), 2)
    moves, move = 0, Checkpoints._move

    async def counted(self: Checkpoints, *arguments: Any) -> bool:
        nonlocal moves
        moves += 1
        return await move(self, *arguments)

    monkeypatch.setattr(Checkpoints, "_move", counted)
    await consumer.step(at_once=1000)
    assert moves == tries
    assert len(await parked(conn)) == 1


async def test_several_orders_of_a_batch_are_found_among_many(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """Each order that the database refuses is parked, and no other."""
    log = random_log(40)
    await log.store(conn)
    keys = list(log.orders)[::9]
    consumer = await new_consumer(log, "sales")
    await conn.execute(
        "ALTER TABLE projections.sales_1_orders ADD CONSTRAINT broken CHECK (order_id NOT IN ({}))".format(
            ", ".join(f"'{key.aggregate_id}'" for key in keys)
        )
    )
    await consumer.step(at_once=1000)
    assert (await parked(conn)).keys() == set(keys)
    assert await rows(conn, "sales") == expected("sales", log, dict.fromkeys(keys, 0))


async def test_a_parked_order_waits_across_restarts(
    conn: asyncpg.Connection, new_consumer: NewConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next owner of the partition applies nothing over the event that is missing."""
    log, key = OrderLog(), order_key("a")
    log.do(key, create(), item("1.00"), item("2.00"))
    await log.store(conn)
    consumer = await new_consumer(log, "order_summary")
    breaker = Breaker(log, conn, "order_summary", monkeypatch)
    await breaker.break_order("evolve_raises", key, 2)
    await consumer.drain()
    await breaker.mend()
    log.do(key, item("3.00"), CONFIRM)
    log.do(order_key("b"), create(), item("4.00"), CONFIRM)
    await log.store(conn)
    successor = await new_consumer(log, "order_summary", consumer.committed)
    await successor.drain()
    assert await applied(conn, "order_summary", key) == 1
    assert (await parked(conn))[key]["newest_version"] == 5
    assert await rows(conn, "order_summary") == expected("order_summary", log, {key: 1})


async def test_a_record_that_names_no_order_is_parked_by_itself(
    conn: asyncpg.Connection, operator: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """What isn't ours on the topic stops nobody, is listed, and a retry finds nothing in it to apply."""
    log = random_log(10)
    await log.store(conn)
    for tenant in (None, b"", b"store\0"):
        headers = [] if tenant is None else [("ce_tenantid", tenant), ("ce_subject", b"x")]
        log.publish(order_key("junk"), headers, b"junk")
    consumer = await new_consumer(log, "sales")
    await consumer.drain()
    assert await rows(conn, "sales") == summed(log.orders.values())
    assert [(key.tenant_id, row["version"]) for key, row in (await parked(conn)).items()] == [("", 0)] * 3
    await want_retries(operator)
    await consumer.projector.retry_parked()
    assert await parked(conn) == {}


async def test_an_order_that_the_store_lacks_stays_parked(
    conn: asyncpg.Connection,
    operator: asyncpg.Connection,
    new_consumer: NewConsumer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A retry against a store that lacks an event says so: to fold what it has would drop one in silence."""
    log, key = OrderLog(), order_key("a")
    log.do(key, create(), item("1.00"))
    await log.store(conn)
    log.do(key, item("2.00"))
    consumer = await new_consumer(log, "sales")
    await Breaker(log, conn, "sales", monkeypatch).break_order("no_json", key, 3)
    await consumer.drain()
    await want_retries(operator)
    await consumer.projector.retry_parked()
    assert "up to version 2 only" in (await parked(conn))[key]["error"]


async def test_more_parked_orders_than_the_limit_stop_the_projector(
    conn: asyncpg.Connection, new_consumer: NewConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When parking becomes the rule nothing is written, the reason says why, and a restart stops again."""
    log = OrderLog()
    keys = [order_key(f"order {number}") for number in range(4)]
    for key in keys:
        log.do(key, create())
    await log.store(conn)
    breaker = Breaker(log, conn, "sales", monkeypatch)
    consumer = await new_consumer(log, "sales", parked_limit=2)
    for key in keys[:2]:
        await breaker.break_order("no_json", key, 1)
    await consumer.drain()
    assert len(await parked(conn)) == 2
    log.do(keys[3], item("1.00"))
    log.do(keys[2], item("1.00"))
    await log.store(conn)
    await breaker.break_order("database_refuses", keys[2], 2)
    before = await kept(conn, "sales"), await conn.fetch("SELECT * FROM projections.checkpoints ORDER BY 4")
    for _ in range(2):
        with pytest.raises(Unrecoverable, match=r"TILLSTREAM_PARKED_LIMIT \(2\).*till parked list"):
            await consumer.step()
    assert len(await parked(conn)) == 2
    assert (
        await kept(conn, "sales"),
        await conn.fetch("SELECT * FROM projections.checkpoints ORDER BY 4"),
    ) == before
    patient = await new_consumer(log, "sales", consumer.committed, parked_limit=3)
    await patient.drain()
    assert len(await parked(conn)) == 3


@pytest.mark.parametrize("name", NAMES)
async def test_a_rewind_unparks_what_folds_now(
    conn: asyncpg.Connection, new_consumer: NewConsumer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A rewind of a partition tries its parked orders again, as a retry does."""
    log = random_log(30)
    await log.store(conn)
    consumer = await new_consumer(log, name)
    breaker = Breaker(log, conn, name, monkeypatch)
    await breaker.break_order("database_refuses", busiest(log), 2)
    await consumer.drain()
    assert len(await parked(conn)) == 1
    await breaker.mend()
    for partition in log.records:
        consumer.reset(partition, 0)
    await consumer.assign()
    assert await parked(conn) == {}
    assert await rows(conn, name) == expected(name, log)
    await consumer.drain()
    assert await rows(conn, name) == expected(name, log)


@pytest.mark.parametrize("how", ["evolve_raises", "database_refuses"])
@pytest.mark.parametrize("name", MOST_NAMES)
async def test_a_rewind_parks_what_no_longer_folds(  # noqa: PLR0917 - fixtures
    conn: asyncpg.Connection,
    operator: asyncpg.Connection,
    new_consumer: NewConsumer,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    how: str,
) -> None:
    """An order that a rewind can't fold again is parked with its row as it was, and the rewind goes on."""
    log = random_log(30)
    await log.store(conn)
    consumer = await new_consumer(log, name)
    await consumer.drain()
    before = await rows(conn, name), await kept(conn, name)
    key = busiest(log)
    breaker = Breaker(log, conn, name, monkeypatch)
    if how == "database_refuses":
        await conn.execute(
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE check_violation; END$$"
        )
        await conn.execute(
            f"CREATE TRIGGER no BEFORE UPDATE ON {READ_MODELS[name].orders_table.format(generation=1)}"
            f" FOR EACH ROW WHEN (NEW.order_id = '{key.aggregate_id}') EXECUTE FUNCTION no()"
        )
    else:
        await breaker.break_order(how, key, 2)
    for partition in log.records:
        consumer.reset(partition, 0)
    await consumer.assign()
    await consumer.drain()
    assert (await parked(conn)).keys() == {key}
    assert (await rows(conn, name), await kept(conn, name)) == before
    await conn.execute("DROP FUNCTION IF EXISTS no CASCADE")
    await breaker.mend()
    await want_retries(operator)
    await consumer.projector.retry_parked()
    assert await parked(conn) == {}
    assert (await rows(conn, name), await kept(conn, name)) == before


async def test_what_is_no_orders_fault_parks_nothing(
    conn: asyncpg.Connection, new_consumer: NewConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event of a newer build stops the projector as before, in the midst of orders at fault too."""
    log = OrderLog()
    keys = [order_key(f"order {number}") for number in range(3)]
    for key in keys:
        log.do(key, create(), item("1.00"))
    await log.store(conn)
    consumer = await new_consumer(log, "sales")
    breaker = Breaker(log, conn, "sales", monkeypatch)
    await breaker.break_order("no_json", keys[0], 2)
    breaker._set_header(keys[1], 2, "ce_schemaversion", b"99")
    with pytest.raises(NewerSchema):
        await consumer.step()
    assert await parked(conn) == {}
    assert await kept(conn, "sales") == []


async def test_a_projector_looks_for_wanted_retries_while_it_holds_partitions(
    conn: asyncpg.Connection,
    operator: asyncpg.Connection,
    new_consumer: NewConsumer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the operator wants tried again is tried without a batch coming by, until the partitions go."""
    monkeypatch.setattr(handler, "RETRY_INTERVAL", 0.01)
    log, key = OrderLog(), order_key("a")
    log.do(key, create(), item("1.00"), CONFIRM)
    await log.store(conn)
    consumer = await new_consumer(log, "sales")
    await Breaker(log, conn, "sales", monkeypatch).break_order("no_json", key, 2)
    await consumer.drain()
    assert len(await parked(conn)) == 1
    await want_retries(operator)
    task = consumer.projector._retrying
    assert task is not None

    async def unparked() -> bool:
        return not await parked(conn)

    await eventually(unparked)
    assert await rows(conn, "sales") == summed(log.orders.values())
    await consumer.projector.revoked()
    assert task.done()
