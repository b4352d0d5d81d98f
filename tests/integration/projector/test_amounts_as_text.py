"""What amounts read like: the same text however the rows came about."""

import asyncpg
import pytest
from aiokafka import TopicPartition

from integration.projector.consuming import NewConsumer
from integration.projector.order_log import (
    CONFIRM,
    VOID,
    OrderLog,
    create,
    item,
    order_key,
    random_log,
)
from integration.projector.reading import NAMES
from readmodels import READ_MODELS
from readmodels.checkpoints import forget_all
from readmodels.generation_tables import tables_of

CURRENCIES = ("EUR", "JPY", "KWD")


def log_with_voids() -> OrderLog:
    """Give a random log, with days and cashiers whose only orders were voided, or never had a line."""
    log = random_log(40)
    for currency in CURRENCIES:
        log.do(order_key(f"open {currency}"), create(currency, currency))
        for name in ("now", "later"):
            key = order_key(f"{name} {currency}")
            log.do(key, create(f"{name}-{currency}", currency), item("4"), CONFIRM)
            if name == "now":
                log.do(key, VOID)
    for currency in CURRENCIES:
        log.do(order_key(f"later {currency}"), VOID)
    return log


async def texts(conn: asyncpg.Connection, name: str) -> dict[str, list[str]]:
    """Read each row of a read model's views as PostgreSQL writes it, but for when it was written."""
    return {
        view: [
            row[0]
            for row in await conn.fetch(
                f"SELECT (to_jsonb(v) - 'changed')::text FROM read_models.{view} AS v ORDER BY 1"  # noqa: S608 - ours
            )
        ]
        for view in READ_MODELS[name](1).views
    }


async def forget(conn: asyncpg.Connection, name: str) -> None:
    """Have the read model as it was before its first event."""
    for table in (await tables_of(conn, name, 1)).values():
        await conn.execute(f"TRUNCATE projections.{table}")
    await forget_all(conn, name, 1)


@pytest.mark.parametrize("name", NAMES)
async def test_rows_read_the_same_however_they_were_written(
    conn: asyncpg.Connection, new_consumer: NewConsumer, name: str
) -> None:
    """Event by event, all at once, replayed, or filled from the store: each row is the same text."""
    log = log_with_voids()
    await log.store(conn)
    consumer = await new_consumer(log, name)
    await consumer.drain(1)
    first = await texts(conn, name)
    assert all(first.values())
    for partition in log.records:
        consumer.reset(partition, 0)
    await consumer.assign()
    await consumer.drain()
    assert await texts(conn, name) == first
    for at_once, lost in ((7, False), (1_000, False), (1_000, True)):
        await consumer.projector.revoked()
        await forget(conn, name)
        # Where the topic has nothing left, all comes from the store, as in a rebuild.
        gone = {TopicPartition(*each): len(records) for each, records in log.records.items()} if lost else {}
        consumer = await new_consumer(log, name, beginnings=gone)
        await consumer.drain(at_once)
        assert await texts(conn, name) == first
