"""Partitions that go without a clean end: what was another's is let go all the same."""

import asyncio
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition

from harness.waiting import eventually
from integration.projector.consuming import Consumer, NewConsumer
from integration.projector.order_log import TOPIC, OrderLog, create, item, order_key, random_log
from projector import handler, refolding
from projector.handler import Projector

_PARK = """
INSERT INTO projections.parked
    (read_model, generation, tenant_id, order_id, partition, version, newest_version, last_offset, error,
     retry_requested)
VALUES ('order_summary', 1, $1, $2, $3, 1, $4, 0, 'x', true)
"""
_WANTED = "SELECT count(*) FROM projections.parked WHERE retry_requested"
FIRST, SECOND = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)


@pytest.fixture(autouse=True)
def no_retries_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a projector look for wanted retries only when a test tells it to."""
    monkeypatch.setattr(handler, "RETRY_INTERVAL", 3600)


async def park(conn: asyncpg.Connection, log: OrderLog, partition: int) -> int:
    """Park all orders on a partition, wanted for a retry; return how many."""
    ids = {record.key.decode() for record in log.records[TopicPartition(TOPIC, partition)] if record.key}
    keys = [key for key in log.orders if str(key.aggregate_id) in ids]
    for key in keys:
        await conn.execute(_PARK, *key, partition, log.orders[key].version)
    return len(keys)


async def test_partitions_that_are_anothers_do_not_stop_retries(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """Where `revoked` was left out, the next assignment is all that is held: no retry waits for another's."""
    log = random_log(10)
    await log.store(conn)
    consumer = await new_consumer(log, "order_summary", partitions=frozenset({FIRST, SECOND}))
    await consumer.drain()
    # A batch in flight outlived the wait for it.
    await new_consumer(log, "order_summary", consumer.committed, partitions=frozenset({SECOND}))
    assert await park(conn, log, 0) > 0
    consumer.partitions = frozenset({FIRST})
    await consumer.assign()
    await consumer.projector.retry_parked()
    assert await conn.fetchval("SELECT count(*) FROM projections.parked") == 0


async def cut_off(projector: Projector) -> None:
    """Give partitions back while a retry takes its time to end, until that took too long."""

    async def slow_to_end() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.2)

    assert projector._retrying is not None
    projector._retrying.cancel()
    projector._retrying = asyncio.create_task(slow_to_end())
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await projector.revoked()


async def test_retries_go_on_after_a_revocation_that_was_cut_off(
    conn: asyncpg.Connection, new_consumer: NewConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revocation that ran out of time holds nothing any more, and the next assignment retries again."""
    log = random_log(10)
    await log.store(conn)
    consumer = await new_consumer(log, "order_summary")
    await consumer.drain()
    await cut_off(consumer.projector)
    assert not consumer.projector._held
    monkeypatch.setattr(handler, "RETRY_INTERVAL", 0.01)
    assert await park(conn, log, 0) > 0
    await consumer.assign()

    async def unparked() -> bool:
        return not await conn.fetchval("SELECT count(*) FROM projections.parked")

    await eventually(unparked)


async def test_an_ended_retry_task_is_followed_by_another(new_consumer: NewConsumer) -> None:
    """A task that is over is none that looks for wanted retries."""
    consumer = await new_consumer(random_log(1), "order_summary")
    ended = consumer.projector._retrying
    assert ended is not None
    ended.cancel()
    await asyncio.wait({ended})
    await consumer.assign()
    assert consumer.projector._retrying is not None
    assert not consumer.projector._retrying.done()


async def retry(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Try parked orders again, once; return how long the database would have waited for each page."""
    seen: list[str] = []
    fold = consumer.projector._projection.fold_stored

    async def folding(conn: asyncpg.Connection, up_to: Any) -> Any:
        seen.append(await conn.fetchval("SHOW idle_in_transaction_session_timeout"))
        return await fold(conn, up_to)

    monkeypatch.setattr(consumer.projector._projection, "fold_stored", folding)
    await consumer.projector.retry_parked()
    return seen


async def test_a_retry_is_bounded_by_events(
    conn: asyncpg.Connection, new_consumer: NewConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many orders are tried again at once as have few events together; the others are next."""
    log = OrderLog()
    for number in range(12):
        log.do(order_key(f"order {number}"), create(), *[item("1")] * 4)
    await log.store(conn)
    consumer = await new_consumer(log, "order_summary")
    await consumer.drain()
    wanted = await park(conn, log, 0)
    assert wanted > 2
    await consumer.assign()
    monkeypatch.setattr(refolding, "EVENTS_AT_ONCE", 10)
    assert await retry(consumer, monkeypatch) == ["30s"]
    assert await conn.fetchval(_WANTED) == wanted - 2
