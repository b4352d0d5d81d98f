"""Lists of orders, and search, against the same lists made in plain Python."""

from dataclasses import astuple
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from eventstore import StreamKey
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
from integration.projector.refusing import refuse
from integration.queries.conftest import Ask
from orders import ItemAdded, Order
from orders.commands import RemoveItem
from queries import BadCursor, OrderFilter, OrderSort, OrderStatus, find_order, list_orders, search
from queries.searching import Hit, HitKind

TENANT = "store-1"


def summary(order: Order) -> tuple[Any, ...]:
    totals = order.totals
    amounts = (totals.subtotal, totals.order_discount, totals.total)
    times = (order.created_at, order.updated_at, RECORDED_AT)
    place = (order.cashier_id, order.currency, order.business_day, len(order.lines))
    return (order.order_id, order.tenant_id, order.status, *place, *amounts, order.version, *times)


async def pages(conn: asyncpg.Connection, wanted: OrderFilter, **asked: Any) -> list[tuple[Any, ...]]:
    """Read all pages of a list."""
    found, cursor = [], None
    while True:
        page = await list_orders(conn, TENANT, wanted, cursor=cursor, **asked)
        found += [astuple(row) for row in page.items]
        assert len(page.items) == asked["limit"] or page.next_cursor is None
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_every_filter_and_order_gives_the_pages_of_the_whole_list(asked: Ask) -> None:
    """Page after page is the list of a tenant's orders that match, each once, in the order asked for."""
    log = random_log(60, seed=3)
    log.do(order_key("marked"), create("zoe"), item("7.00"), RemoveItem(line_id="1"))
    conn = await asked(log)
    ours = [order for order in log.orders.values() if order.tenant_id == TENANT]
    middle = sorted(ours, key=lambda order: str(order.created_at))[len(ours) // 2]
    assert middle.created_at is not None
    filters: list[tuple[OrderFilter, Any]] = [
        (OrderFilter(), lambda _: True),
        (OrderFilter(status=OrderStatus.confirmed), lambda order: order.status == "confirmed"),
        (
            OrderFilter(cashier_id="ann", currency="JPY"),
            lambda o: (o.cashier_id, o.currency) == ("ann", "JPY"),
        ),
        (OrderFilter(created_from=middle.created_at), lambda order: order.created_at >= middle.created_at),
        (OrderFilter(created_to=middle.created_at), lambda order: order.created_at < middle.created_at),
        (OrderFilter(updated_from=middle.created_at), lambda order: order.updated_at >= middle.created_at),
        (OrderFilter(updated_to=middle.created_at), lambda order: order.updated_at < middle.created_at),
        (OrderFilter(recorded_from=RECORDED_AT), lambda _: True),
        (OrderFilter(business_day_from=middle.business_day), lambda o: o.business_day >= middle.business_day),
        (OrderFilter(business_day_to=middle.business_day), lambda o: o.business_day <= middle.business_day),
        (OrderFilter(total_min=middle.totals.total), lambda o: o.totals.total >= middle.totals.total),
        (OrderFilter(total_max=middle.totals.total), lambda o: o.totals.total <= middle.totals.total),
        (OrderFilter(line_id="6"), lambda order: "6" in had[order.order_id]),
    ]
    had: dict[UUID, set[str]] = {order.order_id: set() for order in ours}
    for happened in log.history:
        if isinstance(happened.event.data, ItemAdded) and happened.after.tenant_id == TENANT:
            had[happened.after.order_id].add(happened.event.data.line_id)
    keys: dict[OrderSort, Any] = {
        OrderSort.created_at: lambda order: order.created_at,
        OrderSort.updated_at: lambda order: order.updated_at,
        OrderSort.recorded_at: lambda _: RECORDED_AT,
        OrderSort.business_day: lambda order: order.business_day,
        OrderSort.total: lambda order: order.totals.total,
    }
    rng = Random(5)  # noqa: S311 - repeatable
    for wanted, matches in filters:
        for sort, key in keys.items():
            descending = rng.random() < 0.5
            due = sorted(filter(matches, ours), key=lambda order: order.order_id.bytes, reverse=descending)
            due.sort(key=key, reverse=descending)
            found = await pages(conn, wanted, sort=sort, descending=descending, limit=rng.randint(3, 9))
            assert found == [summary(order) for order in due], (wanted, sort, descending)
        assert 0 < len(due) <= len(ours)


async def test_a_cursor_is_of_one_question(asked: Ask) -> None:
    """A cursor of another filter, order or tenant, or one that was made up, is refused."""
    conn = await asked(random_log(20))
    cursor = (await list_orders(conn, TENANT, limit=2)).next_cursor
    assert cursor is not None
    assert (await list_orders(conn, TENANT, limit=3, cursor=cursor)).items
    with pytest.raises(BadCursor, match="another question"):
        await list_orders(conn, TENANT, OrderFilter(cashier_id="ann"), cursor=cursor)
    with pytest.raises(BadCursor, match="another question"):
        await list_orders(conn, TENANT, descending=False, cursor=cursor)
    with pytest.raises(BadCursor):
        await list_orders(conn, TENANT, sort=OrderSort.total, cursor=cursor)
    with pytest.raises(BadCursor, match="another question"):
        await list_orders(conn, "store-2", cursor=cursor)
    for made_up in ("", "e30", "W10", "%%", "é", cursor[:-2], cursor + "A", "A" * 5_000):
        with pytest.raises(BadCursor):
            await list_orders(conn, TENANT, cursor=made_up)


async def test_one_order_is_its_tenants_only(asked: Ask) -> None:
    """An order is found by its id and tenant, and not by its id alone."""
    log = OrderLog()
    key = order_key("one")
    log.do(key, create(), item("2.00"), CONFIRM)
    conn = await asked(log)
    found = await find_order(conn, *key)
    assert found is not None
    assert astuple(found) == summary(log.orders[key])
    assert await find_order(conn, "store-2", key.aggregate_id) is None


async def test_search_finds_orders_by_whatever_id_is_at_hand(asked: Ask) -> None:
    """An order's id, a command's, a product's or a line's finds the order, also what it has no longer."""
    log = OrderLog()
    first, second = order_key("first"), order_key("second")
    log.do(first, create(), item("2.00"), item("1.00"), RemoveItem(line_id="2"), CONFIRM, VOID)
    log.do(second, create(), item("3.50"))
    log.do(StreamKey("store-2", first.aggregate_id), create(), item("9.00"), item("1.00"))
    conn = await asked(log)

    async def hits(text: str, tenant_id: str = TENANT) -> list[Hit]:
        return await search(conn, tenant_id, text)

    (order,) = await hits(f" {str(first.aggregate_id).upper()} ")
    assert (order.kind, order.order_id) == (HitKind.order, first.aggregate_id)
    assert order.detail.startswith("OrderVoided, recorded at 2026-03-02")
    assert await hits("2") == [Hit(HitKind.line, first.aggregate_id, "voided, 2.00 EUR, 2026-03-01")]
    by_product = await hits("p")
    assert [(hit.kind, hit.order_id) for hit in by_product] == [
        (HitKind.product, second.aggregate_id),
        (HitKind.product, first.aggregate_id),
    ]
    assert len(await search(conn, TENANT, "p", limit=1)) == 1
    assert await hits("p", "nobody") == await hits(str(first.aggregate_id), "nobody") == []
    for nothing in ("", "x" * 65, "a\x00b", "\ud800", "'; --", "%"):
        assert await hits(nothing) == []


async def test_search_finds_commands_accepted_and_refused(asked: Ask, database: Any) -> None:
    """A command's id finds its order and what became of it; a malformed one may name no order."""
    log = OrderLog()
    key = order_key("one")
    log.do(key, create())
    conn = await asked(log)
    admin = await asyncpg.connect(database.dsn())
    accepted = await refuse(admin, key, code=None, version=1, command_type="CreateOrder")
    refused = await refuse(admin, key)
    nothing = await refuse(admin, key, aggregate_id=None, code="malformed")
    await admin.close()
    found = [await search(conn, TENANT, str(command)) for command in (accepted, refused, nothing)]
    assert found == [
        [Hit(HitKind.command, key.aggregate_id, "CreateOrder: accepted, the order's version 1")],
        [Hit(HitKind.command, key.aggregate_id, "ApplyLineDiscount: refused, unknown_line")],
        [Hit(HitKind.command, None, "ApplyLineDiscount: refused, malformed")],
    ]
    assert await search(conn, "store-2", str(refused)) == []


async def test_limits_are_bounded(asked: Ask) -> None:
    """A page is of 1 to 200 orders."""
    conn = await asked(random_log(1))
    for limit in (0, 201):
        with pytest.raises(ValueError, match="from 1 to 200"):
            await list_orders(conn, TENANT, limit=limit)
        with pytest.raises(ValueError, match="from 1 to 200"):
            await search(conn, TENANT, "p", limit=limit)
