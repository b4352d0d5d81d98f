"""`till parked`, beside a projector that carries out what it wants."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from eventstore import StreamKey
from harness.waiting import eventually
from integration.projector.breaking import Breaker
from integration.projector.consuming import Consumer, NewConsumer
from integration.projector.order_log import CONFIRM, OrderLog, create, item, order_key
from integration.projector.reading import expected, rows
from operations.errors import OperationRefused
from projector import handler
from till.app import app
from till.errors import TillError

KEY = order_key("a")
Till = Callable[..., Awaitable[Result]]


@pytest.fixture
def till(database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Till:
    """Run a verb beside the test's projector; what it raises is raised."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TILLSTREAM_DATABASE_URL", database.dsn("query"))
    monkeypatch.setenv("TILLSTREAM_OPERATOR_DATABASE_URL", database.dsn("operator"))

    async def run(*arguments: str) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, app, ["parked", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
async def parked(
    conn: asyncpg.Connection, new_consumer: NewConsumer, monkeypatch: pytest.MonkeyPatch
) -> tuple[OrderLog, Consumer, Breaker]:
    """Give `sales` with an order that fails at its second version, and another that doesn't."""
    monkeypatch.setattr(handler, "RETRY_INTERVAL", 0.01)
    log = OrderLog()
    log.do(KEY, create(), item("1.00"), CONFIRM)
    log.do(order_key("b"), create(), item("2.00"), CONFIRM)
    await log.store(conn)
    consumer = await new_consumer(log, "sales")
    breaker = Breaker(log, conn, "sales", monkeypatch)
    await breaker.break_order("evolve_raises", KEY, 2)
    await consumer.drain()
    return log, consumer, breaker


@pytest.mark.usefixtures("parked")
async def test_parked_orders_are_listed_and_shown(till: Till) -> None:
    """The list names order, versions and error; one order is shown with its event as the store has it."""
    (row,) = json.loads((await till("list", "-o", "json")).stdout)
    assert (row["read_model"], row["tenant_id"], row["order_id"]) == ("sales", *map(str, KEY))
    assert (row["version"], row["newest_version"], row["attempts"]) == (2, 3, 1)
    assert row["error"] == "LookupError: no such line"
    assert json.loads((await till("list", "--read-model", "audit_log", "-o", "json")).stdout) == []
    assert str(KEY.aggregate_id) in (await till("list")).stdout
    (shown,) = json.loads((await till("show", str(KEY.aggregate_id), "-o", "json")).stdout)
    assert shown["event"]["event_type"] == "ItemAdded"
    assert shown["event"]["payload"]["unit_price"] == "1.00"
    told = (await till("show", str(KEY.aggregate_id))).stdout
    assert "fails at     version 2" in told
    assert "no such line" in told


async def test_a_retry_tells_what_came_of_it(
    conn: asyncpg.Connection, parked: tuple[OrderLog, Consumer, Breaker], till: Till
) -> None:
    """One that fails again exits with 1 and the error; after the repair it is applied; both are recorded."""
    log, _, breaker = parked
    failed = await till("retry", str(KEY.aggregate_id))
    assert failed.exit_code == 1
    assert "is still parked for sales: LookupError: no such line" in failed.stderr
    await breaker.mend()
    done = await till("retry", "--all", "--note", "build 7")
    assert done.exit_code == 0, done.stderr
    assert f"{KEY.aggregate_id} is applied to sales again" in done.stderr
    assert await rows(conn, "sales") == expected("sales", log)
    assert json.loads((await till("list", "-o", "json")).stdout) == []
    actions = await conn.fetch(
        "SELECT action, arguments, outcome, details FROM operations.actions"
        " JOIN operations.results ON id = action_id ORDER BY id"
    )
    assert [(row["action"], row["outcome"]) for row in actions] == [("parked retry", "done")] * 2
    assert json.loads(actions[0]["details"])["failed"] == {
        f"sales {KEY.aggregate_id}": "LookupError: no such line"
    }
    assert json.loads(actions[1]["details"])["unparked"] == [f"sales {KEY.aggregate_id}"]
    assert json.loads(actions[1]["arguments"])["note"] == "build 7"


async def test_a_retry_that_nobody_takes_up_says_so(
    conn: asyncpg.Connection, parked: tuple[OrderLog, Consumer, Breaker], till: Till
) -> None:
    """Without a running projector the wish stays, and the next one that takes part carries it out."""
    log, consumer, breaker = parked
    await breaker.mend()
    await consumer.projector.revoked()
    result = await till("retry", "--all", "--wait", "0")
    assert result.exit_code == 1
    assert "the projector of sales doesn't run" in result.stderr
    await consumer.assign()

    async def carried_out() -> bool:
        return not await conn.fetchval("SELECT count(*) FROM projections.parked")

    await eventually(carried_out)
    assert await rows(conn, "sales") == expected("sales", log)


@pytest.mark.usefixtures("parked")
@pytest.mark.parametrize(
    "arguments",
    [
        ["retry"],
        ["retry", "--all", "8c7b2b0e-6e3c-4d0e-9b8e-1a52b1b2f1aa"],
        ["retry", "8c7b2b0e-6e3c-4d0e-9b8e-1a52b1b2f1aa"],
        ["retry", "no-uuid"],
        ["show", "8c7b2b0e-6e3c-4d0e-9b8e-1a52b1b2f1aa"],
    ],
)
async def test_what_is_not_parked_is_refused(
    conn: asyncpg.Connection, till: Till, arguments: list[str]
) -> None:
    """An order that isn't parked, or none at all, is an error with advice, and nothing is asked for."""
    with pytest.raises((OperationRefused, TillError)):
        await till(*arguments)
    assert not await conn.fetchval("SELECT bool_or(retry_requested) FROM projections.parked")


async def test_one_order_id_of_two_tenants_is_told_apart(
    conn: asyncpg.Connection, parked: tuple[OrderLog, Consumer, Breaker], till: Till
) -> None:
    """With --tenant only that tenant's order is tried again."""
    _, consumer, _ = parked
    await consumer.projector.revoked()
    other = StreamKey("store-2", KEY.aggregate_id)
    await conn.execute(
        "INSERT INTO projections.parked (read_model, generation, tenant_id, order_id, partition, version,"
        " newest_version, last_offset, error) VALUES ('sales', 1, $1, $2, 0, 1, 1, 0, 'x')",
        *other,
    )
    await till("retry", str(KEY.aggregate_id), "--tenant", "store-2", "--wait", "0")
    wanted = await conn.fetch("SELECT tenant_id FROM projections.parked WHERE retry_requested")
    assert [row["tenant_id"] for row in wanted] == ["store-2"]
