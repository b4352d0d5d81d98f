"""Pages of the audit trail."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from integration.projector.order_log import RECORDED_AT, random_log
from integration.projector.refusing import refuse
from integration.queries.conftest import Ask
from queries import AuditEntry, AuditFilter, BadCursor, audit_trail


async def entries(
    conn: asyncpg.Connection, tenant_id: str | None, wanted: AuditFilter, limit: int
) -> list[AuditEntry]:
    found: list[AuditEntry] = []
    cursor = None
    while True:
        page = await audit_trail(conn, tenant_id, wanted, limit=limit, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_the_pages_are_the_whole_trail_whatever_their_size(asked: Ask, database: Any) -> None:
    """Each entry comes once and in order, also of one time, without a version and without an order."""
    log = random_log(12, seed=4)
    conn = await asked(log)
    admin = await asyncpg.connect(database.dsn())
    for n, key in enumerate(list(log.orders)[:6]):
        nameless = {"aggregate_id": None} if n % 2 else {}
        await refuse(admin, key, command_type=f"Type{n}", **nameless)
    await admin.close()
    for tenant_id in ("store-1", None):
        whole = await entries(conn, tenant_id, AuditFilter(), 10_000)
        assert len(whole) == sum(
            each.after.tenant_id == (tenant_id or each.after.tenant_id) for each in log.history
        ) + sum(entry.kind == "refused" for entry in whole)
        assert [entry.recorded_at for entry in whole] == sorted(
            (entry.recorded_at for entry in whole), reverse=True
        )
        for limit in (1, 7, 50):
            assert await entries(conn, tenant_id, AuditFilter(), limit) == whole


async def test_filters_pick_entries_of_the_whole_trail(asked: Ask, database: Any) -> None:
    """What each filter gives is what the whole trail holds of it."""
    log = random_log(12, seed=4)
    conn = await asked(log)
    admin = await asyncpg.connect(database.dsn())
    key = next(key for key in log.orders if key.tenant_id == "store-1")
    await refuse(admin, key)
    # Of terminals whose clocks are ahead, and of a command that gives no time.
    for ahead in (60, 4_000, None):
        occurred_at = ahead and datetime.now(UTC) + timedelta(seconds=ahead)
        await refuse(admin, key, command_id=uuid4(), occurred_at=occurred_at)
    await admin.close()
    whole = await entries(conn, "store-1", AuditFilter(), 10_000)
    nearest, _ = sorted(entry.clock_ahead for entry in whole if entry.clock_ahead)
    later = RECORDED_AT + timedelta(seconds=1)
    filters: list[tuple[AuditFilter, Any]] = [
        (AuditFilter(order_id=key.aggregate_id), lambda e: e.order_id == key.aggregate_id),
        (AuditFilter(actor="till-1"), lambda e: e.actor == "till-1"),
        (AuditFilter(authoriser="bob"), lambda e: e.authorised_by == "bob"),
        (AuditFilter(kind="refused"), lambda e: e.code == "unknown_line"),
        (AuditFilter(kind="ItemAdded"), lambda e: e.kind == "ItemAdded"),
        (AuditFilter(product_id="p"), lambda e: e.kind == "ItemAdded"),
        (AuditFilter(line_id="2"), lambda e: e.line_id == "2"),
        (AuditFilter(until=later), lambda e: e.recorded_at < later),
        (AuditFilter(since=later), lambda e: e.recorded_at >= later),
        (AuditFilter(clock_ahead_min=1), lambda e: e.clock_ahead is not None),
        (AuditFilter(clock_ahead_min=nearest), lambda e: (e.clock_ahead or 0) >= nearest),
        (AuditFilter(clock_ahead_min=nearest + 1), lambda e: (e.clock_ahead or 0) > nearest),
    ]
    for wanted, matches in filters:
        due = [entry for entry in whole if matches(entry)]
        assert await entries(conn, "store-1", wanted, 9) == due, wanted
        assert due, wanted
    cursor = (await audit_trail(conn, "store-1", limit=1)).next_cursor
    with pytest.raises(BadCursor):
        await audit_trail(conn, "store-2", limit=1, cursor=cursor)


async def test_clocks_ahead_are_found_by_an_index(asked: Ask) -> None:
    """Among many entries the few of clocks that were ahead are found without reading the others."""
    conn = await asked(random_log(12, seed=4))
    logged: list[Any] = []
    async with conn.transaction():
        # So few rows would be read from end to end.
        await conn.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        with conn.query_logger(logged.append):
            await audit_trail(conn, "store-1", AuditFilter(clock_ahead_min=300))
            # What is logged is told at the loop's next turn.
            await conn.execute("SELECT 1")
        (query,) = [each for each in logged if "read_models.audit_log" in each.query]
        plan = await conn.fetchval(f"EXPLAIN (FORMAT JSON) {query.query}", *query.args)
    assert "audit_log_1_clock_ahead" in plan
