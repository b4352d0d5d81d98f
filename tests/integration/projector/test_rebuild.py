"""Rebuilding a read model beside the live one, on a real PostgreSQL and a real Kafka."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from integration.projector.order_log import CONFIRM, VOID, create, item, order_key, random_log
from integration.projector.processes import Installation
from integration.projector.reading import NAMES, expected, rows
from integration.projector.rebuilding import Operator

DAMAGE = {
    "audit_log": "UPDATE projections.audit_log_1 SET actor = 'nobody' WHERE version = 2 AND order_id = $1",
    "order_summary": "UPDATE projections.order_summary_1 SET total = total + 1 WHERE order_id = $1",
    "sales": "UPDATE projections.sales_1_orders SET net = net + 1 WHERE order_id = $1",
}


@pytest.fixture
async def installation(kafka_server: Any, database: Any, topic_prefix: str, tmp_path: Path) -> Installation:
    """Give an installation with its topics made."""
    made = Installation(kafka_server, database, topic_prefix, tmp_path)
    await made.make_topics()
    return made


@pytest.fixture
async def operator(database: Any, conn: asyncpg.Connection) -> AsyncIterator[Operator]:
    """Give the operator."""
    connection = await asyncpg.connect(database.dsn("operator"))
    yield Operator(connection, conn)
    await connection.close()


@pytest.mark.parametrize("name", NAMES)
async def test_a_rebuild_repairs_what_was_damaged_and_names_it(
    installation: Installation, conn: asyncpg.Connection, operator: Operator, name: str
) -> None:
    """The new generation equals the fold of the log, and the comparison shows both rows of a change."""
    log = random_log(150)
    await log.store(conn)
    ends = await installation.send(log)
    damaged = next(iter(log.orders))
    with installation.running(name) as process:
        await operator.live_level(name, ends)
        assert await rows(conn, name) == expected(name, log)
        await conn.execute(DAMAGE[name], damaged.aggregate_id)

        build = await operator.reach(await operator.ask(name), "swapped")
        assert build.orders_done == build.orders_total == len(log.orders)
        comparison = build.comparison
        assert comparison is not None
        assert [comparison[what] for what in ("added", "gone", "changed", "unsettled")] == [0, 0, 1, 0]
        (example,) = comparison["examples"]
        assert example["live"]["order_id"] == example["new"]["order_id"] == str(damaged.aggregate_id)
        assert example["live"] != example["new"]
        assert await operator.generations(name) == {1: "previous", 2: "live"}
        assert await rows(conn, name) == expected(name, log)

        # The read model's own group goes on from where the builder was.
        log.do(order_key("late"), create(), item("1"), CONFIRM)
        log.do(order_key("late"), VOID)
        await log.store(conn)
        ends = await installation.send(log, ends)
        await operator.live_level(name, ends)
        assert await rows(conn, name) == expected(name, log)
        assert await installation.stop(process) == 0
