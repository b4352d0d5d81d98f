"""audit: the entries of the audit trail, filtered."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from eventstore import EventStore, StreamKey
from integration.projector.consuming import Consumer, all_records
from integration.projector.order_log import (
    CONFIRM,
    PARTITIONS,
    RECORDED_AT,
    TOPIC,
    VOID,
    OrderLog,
    create,
    item,
    order_key,
)
from integration.projector.refusing import refuse
from integration.till.conftest import Till
from messaging import TopicFacts
from orders import ORDER
from orders.commands import ApplyDiscount, ChangeItemQuantity, UndoLastChange
from projector.handler import Projector
from projector.projection import Projection
from readmodels import AuditLog
from readmodels.checkpoints import Checkpoints
from readmodels.generations import open_live
from runtime import Database
from till.app import app
from till.errors import TillError

KEY = order_key("a")
SAME_ID = StreamKey("store-2", KEY.aggregate_id)
VOIDED = order_key("voided", "store-2")


async def project(dsn: str, log: OrderLog) -> None:
    """Let a projector of the audit trail take in all of a log."""
    held = Database(SecretStr(dsn), "test")
    read_model = await open_live(await held.connection(), AuditLog)
    projection = Projection(read_model, EventStore(ORDER))

    async def topic() -> TopicFacts:
        return TopicFacts(UUID(int=1), PARTITIONS)

    checkpoints = Checkpoints("audit_log", read_model.generation, TOPIC)
    consumer = Consumer(
        log, Projector(held, read_model, projection, checkpoints, topic, is_without_records=all_records)
    )
    await consumer.assign()
    await consumer.drain()
    await held.close()


async def refuse_all(dsn: str, keys: Iterable[StreamKey], **fields: Any) -> None:
    conn = await asyncpg.connect(dsn)
    for key in keys:
        await refuse(conn, key, **fields)
    await conn.close()


@pytest.fixture
def trail(database: Any) -> Any:
    """Give a database with two tenants' orders in the audit trail; events were recorded, then refusals."""
    log = OrderLog()
    log.do(KEY, create(), item("2.50", "2"), ChangeItemQuantity(line_id="1", quantity=Decimal(3)))
    log.actor = "till-2"
    log.do(KEY, UndoLastChange(), ApplyDiscount(percent=Decimal(10), authorised_by="eve"), CONFIRM)
    log.do(SAME_ID, create())
    log.do(VOIDED, create(), item("1.00"), VOID)
    asyncio.run(project(database.dsn("projector"), log))
    asyncio.run(refuse_all(database.dsn(), [KEY, SAME_ID, order_key("unknown")]))
    return database


@pytest.mark.usefixtures("trail")
@pytest.mark.parametrize(
    ("filters", "kinds"),
    [
        (["--order", str(VOIDED.aggregate_id)], ["OrderVoided", "ItemAdded", "OrderCreated"]),
        (["--authoriser", "eve"], ["DiscountApplied"]),
        (["--authoriser", "bob", "--tenant", "store-2"], ["refused", "OrderVoided"]),
        (["--actor", "till-1"], ["refused"] * 3 + ["ItemQuantityChanged", "ItemAdded", "OrderCreated"]),
        (["--kind", "OrderVoided"], ["OrderVoided"]),
        (["--kind", "refused", "--tenant", "store-1"], ["refused"] * 2),
        (["--since", "2026-03-02T00:00:01Z"], ["refused"] * 3),
        (["--since", "2026-03-02", "--until", "2026-03-02T00:00:01Z", "--actor", "till-1", "--limit", "1"],
         ["ItemQuantityChanged"]),
        (["--until", "2026-03-02T00:00:00Z"], []),
        (["--actor", "nobody"], []),
        (["--clock-ahead", "300"], []),
    ],
)  # fmt: skip
def test_filters_leave_what_they_name(till: Till, filters: list[str], kinds: list[str]) -> None:
    """Each filter leaves the entries it names and all of them, newest first; several must all hold."""
    assert [row["kind"] for row in till("audit", *filters)] == kinds


def test_terminals_whose_clocks_are_ahead_are_found(till: Till, trail: Any) -> None:
    """--clock-ahead gives what came from them, refused or not, with by how many seconds."""
    ahead = datetime.now(UTC) + timedelta(hours=1)
    log = OrderLog(moment=RECORDED_AT + timedelta(minutes=5))
    log.do(order_key("early"), create())
    asyncio.run(refuse_all(trail.dsn(), [order_key("early")], occurred_at=ahead))
    asyncio.run(project(trail.dsn("projector"), log))
    refused, created = till("audit", "--clock-ahead", "300")
    assert (refused["kind"], created["kind"]) == ("refused", "OrderCreated")
    assert 3_500 < refused["clock_ahead"] <= 3_600
    assert created["clock_ahead"] == 360
    assert [row["kind"] for row in till("audit", "--clock-ahead", "361")] == ["refused"]


@pytest.mark.usefixtures("trail")
def test_an_undo_shows_both_versions(till: Till) -> None:
    """The trail has the undone change and the undo, which names it; both say what moved."""
    rows = till("audit", "--order", str(KEY.aggregate_id), "--tenant", "store-1")
    assert [row["version"] for row in rows] == [None, 6, 5, 4, 3, 2, 1]
    assert rows[3]["undoes"] == [3]
    assert rows[3]["what"] == "undoes version 3: line 1: quantity 3 → 2; total 7.50 → 5.00"
    assert rows[4]["what"] == "line 1: quantity 2 → 3; total 5.00 → 7.50"
    assert rows[2]["what"] == "discount percent 10; discount authorised_by eve; total 5.00 → 4.50"
    assert rows[0]["what"] == "ApplyLineDiscount: unknown_line: The order has no line 7."
    assert rows[3]["before"]["lines"] == {"1": {"quantity": "3"}}


@pytest.mark.usefixtures("trail")
def test_tenants_are_kept_apart(till: Till) -> None:
    """An order id that two tenants use needs --tenant, and --tenant shows nothing of another's."""
    with pytest.raises(TillError, match="2 tenants") as caught:
        till("audit", "--order", str(KEY.aggregate_id))
    assert "--tenant store-1" in caught.value.advice
    rows = till("audit", "--order", str(KEY.aggregate_id), "--tenant", "store-2")
    assert [(row["tenant_id"], row["kind"]) for row in rows] == [
        ("store-2", "refused"),
        ("store-2", "OrderCreated"),
    ]
    assert {row["tenant_id"] for row in till("audit", "--tenant", "store-2")} == {"store-2"}
    assert {row["tenant_id"] for row in till("audit")} == {"store-1", "store-2"}
    assert till("audit", "--tenant", "store-3") == []


@pytest.mark.usefixtures("trail")
def test_a_refused_order_that_does_not_exist_can_be_asked_for(till: Till) -> None:
    """An order that was never made has a trail all the same: what was refused on it."""
    unknown = order_key("unknown")
    (row,) = till("audit", "--order", str(unknown.aggregate_id))
    assert (row["tenant_id"], row["order_id"], row["kind"]) == (
        "store-1",
        str(unknown.aggregate_id),
        "refused",
    )


@pytest.mark.usefixtures("trail")
@pytest.mark.parametrize("limit", ["1", "12", "13", "14"])
def test_more_entries_than_the_limit_are_told(till: Till, limit: str) -> None:
    """At most as many entries as asked for are listed, and a note says that there are more, if there are."""
    assert len(till("audit", "--limit", limit)) == min(13, int(limit))
    told = CliRunner().invoke(app, ["audit", "--limit", limit])
    assert told.exit_code == 0
    assert ("There are more" in told.stderr) == (int(limit) < 13)


@pytest.mark.usefixtures("trail")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--order", "17"], "is no order id"),
        (["--order", str(uuid4())], "has nothing on an order"),
        (["--order", str(VOIDED.aggregate_id), "--tenant", "store-1"], "of tenant store-1"),
        (["--kind", "Voided"], "is no kind of entry"),
        (["--since", "yesterday"], "is no time"),
    ],
)
def test_what_cannot_be_asked_for_is_told(till: Till, arguments: list[str], told: str) -> None:
    """An argument that names nothing gives an error that says so, with advice."""
    with pytest.raises(TillError, match=told) as caught:
        till("audit", *arguments)
    assert caught.value.advice


@pytest.mark.usefixtures("database")
def test_a_trail_that_is_not_there_yet_is_told(till: Till) -> None:
    """Before its projector's first start the verb says what starts it."""
    with pytest.raises(TillError, match="no audit trail yet") as caught:
        till("audit")
    assert "till up" in caught.value.advice
