"""Lists of what changed since a list: from watermark to watermark nothing is missed."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from integration.projector.order_log import CONFIRM, OrderLog, create, item, order_key
from integration.queries.conftest import Ask
from integration.till.read_models_made import changes
from queries import OrderFilter, OrderSort, list_orders
from queries.watermarks import Watermark
from readmodels import READ_MODELS

TENANT = "store-1"


@pytest.fixture
async def projecting(database: Any) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection that writes as a projector."""
    conn = await asyncpg.connect(database.dsn("projector"))
    yield conn
    await conn.close()


def shop(count: int) -> OrderLog:
    log = OrderLog()
    for number in range(count):
        log.do(order_key(f"order {number}"), create(), item("2.00"))
        log.do(order_key(f"order {number}", "store-2"), create(), item("1.00"))
    return log


async def write(conn: asyncpg.Connection, log: OrderLog, *names: str) -> set[UUID]:
    """Write orders as they are; give their ids."""
    ids = {order_key(name).aggregate_id for name in names}
    due = [change for change in changes(log, {}) if change.order.order_id in ids]
    await READ_MODELS["order_summary"](1).write(conn, due)
    return ids


async def walk(
    conn: asyncpg.Connection, since: Watermark | None, **asked: Any
) -> tuple[set[UUID], Watermark]:
    """Go through all pages; give which orders came, and the watermark, which is that of every page."""
    cursor, came, watermarks = None, [], set()
    while True:
        page = await list_orders(conn, TENANT, OrderFilter(changed_since=since), cursor=cursor, **asked)
        came += [order.order_id for order in page.items]
        watermarks.add(page.watermark)
        cursor = page.next_cursor
        if cursor is None:
            (watermark,) = watermarks
            assert len(set(came)) == len(came)
            return set(came), watermark


async def test_what_commits_after_a_list_is_of_the_next(
    asked: Ask, database: Any, projecting: asyncpg.Connection
) -> None:
    """A transaction that is open during a list, and began before others that are in it, is of the next."""
    log = shop(6)
    conn = await asked(log)
    whole, first = await walk(conn, None, limit=4)
    assert len(whole) == 6
    log.do(order_key("order 0"), CONFIRM)
    log.do(order_key("order 1"), CONFIRM)
    beside = await asyncpg.connect(database.dsn("projector"))
    open_one = projecting.transaction()
    await open_one.start()
    late = await write(projecting, log, "order 0")
    early = await write(beside, log, "order 1")
    await beside.close()
    found, second = await walk(conn, first)
    assert found == early
    found, third = await walk(conn, second)
    assert found == set()
    await open_one.commit()
    found, _ = await walk(conn, third)
    assert found == late


async def test_pages_hold_what_was_there_at_the_first(asked: Ask, projecting: asyncpg.Connection) -> None:
    """What changes between two pages leaves the list, which so ends, and is of the next one."""
    log = shop(9)
    conn = await asked(log)
    _, watermark = await walk(conn, None)
    names = [f"order {number}" for number in range(9)]
    for sort in OrderSort:
        for name in names:
            log.do(order_key(name), item("3.00"))
        await write(projecting, log, *names)
        since, cursor, came, touched, pages = watermark, None, [], set[UUID](), 0
        while pages == 0 or cursor is not None:
            wanted = OrderFilter(changed_since=since)
            page = await list_orders(
                conn, TENANT, wanted, sort=sort, descending=False, limit=2, cursor=cursor
            )
            came += [order.order_id for order in page.items]
            cursor, pages = page.next_cursor, pages + 1
            # By `updated_at` and `total` each goes to the end of the list again.
            name = names[(pages * 2) % len(names)]
            log.do(order_key(name), item("1.00"))
            touched |= await write(projecting, log, name)
        assert pages <= 5
        assert len(set(came)) == len(came)
        found, watermark = await walk(conn, page.watermark)
        assert found == touched
        assert set(came) | found == {order_key(name).aggregate_id for name in names}


async def test_a_watermark_of_another_era_lists_everything(asked: Ask, database: Any) -> None:
    """After a recovery, which belongs to every restore, numbers begin anew: everything counts as changed."""
    conn = await asked(shop(3))
    _, watermark = await walk(conn, None)
    ahead = watermark._replace(snapshot="900000000:900000000:")
    assert (await walk(conn, ahead))[0] == set()
    operator = await asyncpg.connect(database.dsn("operator"))
    await operator.execute(
        "INSERT INTO operations.actions (actor, action, arguments) VALUES ('ann', 'recover', '{}')"
    )
    await operator.close()
    found, newer = await walk(conn, ahead)
    assert len(found) == 3
    assert newer.era != watermark.era


async def test_every_reader_may_ask_how_far_read_models_are(asked: Ask, database: Any) -> None:
    """The watermarks are there for whoever reads the views, and for nobody else."""
    await asked(shop(1))
    for role in ("analyst", "query", "query_service", "operator"):
        conn = await asyncpg.connect(database.dsn(role))
        found = await conn.fetch("SELECT read_model, era, watermark FROM read_models.freshness ORDER BY 1")
        assert [row["read_model"] for row in found] == sorted(READ_MODELS)
        assert len({row["era"] for row in found}) == 1
        await conn.close()
    conn = await asyncpg.connect(database.dsn("command_service"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await conn.fetch("SELECT * FROM read_models.freshness")
    await conn.close()
