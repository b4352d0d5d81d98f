"""The audit trail: what the events say, and what was refused."""

import json
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from eventstore import StreamKey
from integration.projector.consuming import NewConsumer
from integration.projector.order_log import (
    CONFIRM,
    RECORDED_AT,
    VOID,
    OrderLog,
    create,
    item,
    order_key,
    random_log,
)
from integration.projector.reading import expected, rows
from integration.projector.refusing import REFUSAL, refuse
from orders.commands import (
    ApplyDiscount,
    ApplyLineDiscount,
    ChangeItemQuantity,
    RedoLastChange,
    RemoveItem,
    UndoLastChange,
)

KEY = order_key("a")


async def trail(conn: asyncpg.Connection) -> list[dict[str, Any]]:
    found = await conn.fetch("SELECT * FROM read_models.audit_log ORDER BY tenant_id, order_id, version")
    return [
        {**row, **{name: row[name] and json.loads(row[name]) for name in ("before", "after")}}
        for row in found
    ]


@pytest.mark.parametrize(("seed", "at_once"), [(2, 1), (3, 11), (4, 1000)])
async def test_the_trail_equals_a_fold_of_the_log(
    conn: asyncpg.Connection, new_consumer: NewConsumer, seed: int, at_once: int
) -> None:
    """Each event has one row with its metadata and exactly the fields that differ around it in a fold."""
    log = random_log(25, seed)
    await log.store(conn)
    await (await new_consumer(log, "audit_log")).drain(at_once)
    assert await rows(conn, "audit_log") == expected("audit_log", log)


async def test_a_change_is_told_by_its_fields_before_and_after(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """A row holds what changed and nothing else, amounts as texts, what was not there as nothing."""
    log = OrderLog()
    log.do(KEY, create(), item("2.50", "2"), ChangeItemQuantity(line_id="1", quantity=Decimal(3)))
    await (await new_consumer(log, "audit_log")).drain()
    created, added, changed = await trail(conn)
    assert created["before"] == {}
    assert created["after"]["status"] == "open"
    assert created["after"]["cashier_id"] == "ann"
    gained = {"gross": "5.00", "subtotal": "5.00", "total": "5.00"}
    assert added["before"] == {"totals": dict.fromkeys(gained, "0.00")}
    line = {"product_id": "p", "name": "Pear", "quantity": "2", "unit_price": "2.50"}
    assert added["after"] == {"lines": {"1": line}, "totals": gained}
    assert changed["before"] == {"lines": {"1": {"quantity": "2"}}, "totals": gained}
    assert changed["after"] == {"lines": {"1": {"quantity": "3"}}, "totals": dict.fromkeys(gained, "7.50")}


async def test_an_undo_names_the_version_it_takes_back(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """Undo and redo are rows of their own that name the change's version; the change stays."""
    log = OrderLog()
    log.do(KEY, create(), item("5.00"), item("1.00"))
    log.do(KEY, ApplyLineDiscount(line_id="1", percent=Decimal(10), authorised_by="bob"))
    log.do(KEY, RemoveItem(line_id="1"), UndoLastChange(), RedoLastChange())
    await (await new_consumer(log, "audit_log")).drain()
    found = await trail(conn)
    assert [(row["version"], row["kind"], row["undoes"], row["redoes"]) for row in found[4:]] == [
        (5, "ItemRemoved", [], []),
        (6, "ItemAdded", [5], []),
        (7, "LineDiscountApplied", [5], []),
        (8, "ItemRemoved", [], [5]),
    ]
    assert found[5]["command_id"] == found[6]["command_id"] != found[7]["command_id"]
    assert found[4]["before"]["lines"] == found[7]["before"]["lines"]
    assert "lines" not in found[4]["after"]


async def test_actor_and_authoriser_are_told_apart(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """The actor is who sent the command; the authoriser is who the command names, if it names one."""
    log = OrderLog()
    log.do(KEY, create(), item("5.00"))
    log.actor = "till-2"
    log.do(KEY, ApplyDiscount(percent=Decimal(10), authorised_by="eve"), CONFIRM, VOID)
    await log.store(conn)
    await (await new_consumer(log, "audit_log")).drain()
    found = await trail(conn)
    assert [(row["actor"], row["authorised_by"]) for row in found] == [
        ("till-1", None),
        ("till-1", None),
        ("till-2", "eve"),
        ("till-2", None),
        ("till-2", "bob"),
    ]
    assert found[-1]["before"] == {"status": "confirmed"}
    assert found[-1]["after"] == {"status": "voided", "voided_reason": "customer left", "voided_by": "bob"}


async def test_one_order_id_of_two_tenants_has_two_trails(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """Tenants that use the same order id share no row, nor does folding one's again touch the other's."""
    log = OrderLog()
    other = StreamKey("store-2", KEY.aggregate_id)
    log.do(KEY, create(), item("1.00"))
    log.do(other, create("zoe"), item("2.00"))
    await log.store(conn)
    consumer = await new_consumer(log, "audit_log")
    await consumer.drain()
    assert await rows(conn, "audit_log") == expected("audit_log", log)
    (partition,) = [found for found, records in log.records.items() if records]
    await conn.execute("UPDATE projections.audit_log_1 SET actor = 'nobody'")
    consumer.reset(partition, 2)  # the first tenant's events lie before it
    await consumer.assign()
    assert {(row["tenant_id"], row["actor"]) for row in await trail(conn)} == {
        ("store-1", "nobody"),
        ("store-2", "till-1"),
    }


async def test_refused_commands_are_part_of_the_trail(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """A refused command is a row of kind `refused` with its code and message; an accepted one is none."""
    log = OrderLog()
    log.do(KEY, create())
    await (await new_consumer(log, "audit_log")).drain()
    refused = await refuse(conn, KEY)
    await refuse(conn, KEY, code=None, version=1, command_type="CreateOrder")
    _, row = await trail(conn)
    assert row["command_id"] == refused
    assert (row["tenant_id"], row["order_id"], row["version"], row["kind"]) == (*KEY, None, "refused")
    assert (row["command_type"], row["code"], row["message"]) == ("ApplyLineDiscount", *REFUSAL.values())
    assert (row["actor"], row["authorised_by"], row["occurred_at"]) == ("till-1", "bob", RECORDED_AT)
    assert row["before"] is row["after"] is None


async def test_a_malformed_command_does_not_break_the_trail(
    conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """What a refused command lacks is null, and a message that quotes a NUL can still be read."""
    await new_consumer(OrderLog(), "audit_log")
    value = b'{"code":"malformed","message":"a\\u0000b: is no field"}'
    nothing = {"aggregate_id": None, "actor": "", "data": None, "occurred_at": None}
    await refuse(conn, KEY, **nothing, code="malformed", value=value)
    (row,) = await trail(conn)
    assert row["message"] == "a\ufffdb: is no field"
    assert (row["order_id"], row["actor"], row["authorised_by"], row["occurred_at"]) == (None,) * 4


async def test_readers_of_the_trail_see_no_more_of_commands_than_it_shows(
    database: Any, conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """Readers of the view see of refusals what it shows, and the projector can't read the commands."""
    await new_consumer(OrderLog(), "audit_log")
    await refuse(conn, KEY)
    for role in ("analyst", "query"):
        reader = await asyncpg.connect(database.dsn(role))
        assert await reader.fetchval("SELECT message FROM read_models.audit_log") == REFUSAL["message"]
        await reader.close()
    for role, table in (
        ("projector", "command_outcomes"),
        ("analyst", "command_outcomes"),
        ("analyst", "projections.audit_log_1_orders"),
    ):
        reader = await asyncpg.connect(database.dsn(role))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(f"SELECT FROM {table}")
        await reader.close()
