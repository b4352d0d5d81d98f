"""search and sales, on read models made of a log."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from eventstore import StreamKey
from integration.projector.order_log import CONFIRM, RECORDED_AT, VOID, OrderLog, create, item, order_key
from integration.till.conftest import Till
from integration.till.read_models_made import make_read_models
from orders.commands import ApplyDiscount
from till.errors import TillError

SOLD, VOIDED = order_key("sold"), order_key("voided")
ELSEWHERE = StreamKey("store-2", SOLD.aggregate_id)
ROLL_BACK = "UPDATE projections.generations SET version = 1 WHERE read_model = $1 AND state = 'live'"


@pytest.fixture
def made(database: Any) -> OrderLog:
    """Give a log of three orders of two tenants, one of them voided, and make the read models of it."""
    log = OrderLog()
    log.do(SOLD, create("ann"), item("10.00", "2"))
    log.do(SOLD, ApplyDiscount(percent=Decimal(10), authorised_by="bob"), CONFIRM)
    log.do(VOIDED, create("ann"), item("5.00"), CONFIRM, VOID)
    log.do(ELSEWHERE, create("zoe", "JPY"), item("300"), CONFIRM)

    async def store() -> None:
        conn = await asyncpg.connect(database.dsn())
        await log.store(conn)
        await conn.close()

    asyncio.run(store())
    asyncio.run(make_read_models(database.dsn("projector"), log))
    return log


@pytest.mark.usefixtures("made")
def test_search_tells_whose_order_it_is(till: Till) -> None:
    """Without a tenant, all are searched, and each hit says whose it is."""
    hits = till("search", str(SOLD.aggregate_id))
    assert [(hit["kind"], hit["tenant_id"]) for hit in hits] == [("order", "store-1"), ("order", "store-2")]
    assert [hit["order_id"] for hit in till("search", "p", "--tenant", "store-2")] == [str(SOLD.aggregate_id)]
    assert len(till("search", "p", "--tenant", "store-1", "--limit", "1")) == 1
    assert till("search", "nothing") == []


@pytest.mark.usefixtures("made")
def test_sales_are_summed_by_what_is_asked_for(till: Till) -> None:
    """Each tenant and currency has its own sums; by default they are told apart by business day."""
    rows = till("sales")
    assert [(row["tenant_id"], row["business_day"], row["currency"], row["net"]) for row in rows] == [
        ("store-1", "2026-03-01", "EUR", "18.00"),
        ("store-2", "2026-03-01", "JPY", "300"),
    ]
    (row,) = till("sales", "--tenant", "store-1", "--by", "cashier_id", "--by", "hour")
    assert (row["cashier_id"], row["hour"], row["business_day"]) == ("ann", 8, None)
    assert (row["orders"], row["gross"], row["discount"], row["voids"]) == (1, "20.00", "2.00", 1)
    assert till("sales", "--from", "2026-03-02") == till("sales", "--to", "2026-02-28") == []


def test_sales_as_of_a_moment_are_what_had_been_sold_by_then(made: OrderLog, till: Till) -> None:
    """By the terminals' clocks a later void takes nothing out yet; by the time of record all or nothing."""
    void = next(each for each in made.history if each.event.data.type == "OrderVoided")
    before = (void.event.occurred_at - timedelta(seconds=1)).isoformat()
    (row,) = till("sales", "--tenant", "store-1", "--as-of", before, "--clock", "occurred")
    assert (row["orders"], row["net"], row["voids"]) == (2, "23.00", 0)
    (row,) = till("sales", "--tenant", "store-1", "--as-of", RECORDED_AT.isoformat())
    assert (row["orders"], row["net"], row["voids"]) == (1, "18.00", 1)
    assert till("sales", "--as-of", (RECORDED_AT - timedelta(seconds=1)).isoformat()) == []


def test_what_is_not_there_yet_is_told(till: Till, database: Any, made: OrderLog) -> None:
    """A day that is none, and read models that are not made yet, are told with what to do."""
    with pytest.raises(TillError, match="is no day"):
        till("sales", "--from", "yesterday")

    async def drop() -> None:
        conn = await asyncpg.connect(database.dsn())
        await conn.execute("DROP VIEW read_models.sales; DROP VIEW read_models.order_summary")
        await conn.close()

    asyncio.run(drop())
    with pytest.raises(TillError, match="no sales yet"):
        till("sales")
    with pytest.raises(TillError, match="nothing to search yet"):
        till("search", "p")
    assert made.orders


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("read_model", "unanswered", "answered"),
    [
        ("sales", [("sales", "--as-of", "2026-03-02")], [("sales",)]),
        ("audit_log", [("search", "p"), ("audit",)], [("sales", "--as-of", "2026-03-02")]),
    ],
)
def test_what_an_earlier_version_cannot_tell_is_told(
    till: Till,
    database: Any,
    read_model: str,
    unanswered: list[tuple[str, ...]],
    answered: list[tuple[str, ...]],
) -> None:
    """After a rollback, a question that needs the newer version names it, and what makes it."""

    async def roll_back() -> None:
        conn = await asyncpg.connect(database.dsn())
        await conn.execute(ROLL_BACK, read_model)
        await conn.close()

    for each in [*unanswered, *answered]:
        assert till(*each), each
    asyncio.run(roll_back())
    for each in unanswered:
        with pytest.raises(TillError, match=f"is at its version 1.*till rebuild {read_model}"):
            till(*each)
    for each in answered:
        assert till(*each), each
