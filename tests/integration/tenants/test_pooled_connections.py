"""The query service's pool: connections that serve one tenant after another, and several at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from harness.waiting import eventually
from integration.tenants.catalogue import SERVICE, TENANTS, readable, tenants_seen
from query_service.database import TenantDatabase
from query_service.problems import Problem

STATEMENT_TIMEOUT = 30.0
_SLOW = "SELECT pg_sleep(60)"
_SLOW_ONE = "SELECT max(pid) FROM pg_stat_activity WHERE query = $1 AND state = 'active'"

Rows = dict[str, dict[str, int]]
"""Relation → tenant → number of rows."""


@pytest.fixture
async def there(filled: object, admin: asyncpg.Connection) -> Rows:
    """Give what is in each relation with tenants that the query service reads, all views among them."""
    assert filled
    found = {
        each.name: await tenants_seen(admin, each.name)
        for each in await readable(admin, SERVICE)
        if each.has_tenant
    }
    views = await admin.fetch(
        "SELECT 'read_models.' || viewname FROM pg_views"
        " WHERE schemaname = 'read_models' AND viewname <> 'freshness'"
    )
    assert found.keys() > {row[0] for row in views}
    assert all(tenants.keys() == set(TENANTS) for tenants in found.values())
    return found


@pytest.fixture
async def pool_of_one(database: Any) -> AsyncIterator[TenantDatabase]:
    """Give a pool in which all requests share one connection."""
    url = SecretStr(database.dsn(SERVICE))
    async with TenantDatabase.opened(url, 1, STATEMENT_TIMEOUT) as pool:
        yield pool


async def test_transactions_that_are_open_at_once_see_their_own_tenants(database: Any, there: Rows) -> None:
    """Of two open transactions each sees all its tenant's rows of every view, and none of the other's."""
    url = SecretStr(database.dsn(SERVICE))
    first, second = TENANTS
    async with (
        TenantDatabase.opened(url, 2, STATEMENT_TIMEOUT) as pool,
        pool._transaction(first) as one,
        pool._transaction(second) as other,
    ):
        for name, tenants in there.items():
            for conn, tenant in ((one, first), (other, second), (one, first)):
                assert await tenants_seen(conn, name) == {tenant: tenants[tenant]}, name


async def _sleep(conn: asyncpg.Connection) -> None:
    await conn.execute(_SLOW)


async def _a_statement_fails(pool: TenantDatabase, _admin: asyncpg.Connection) -> None:
    async def fails(conn: asyncpg.Connection) -> None:
        await conn.execute("SELECT 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await pool.ask(TENANTS[0], fails)


async def _a_statement_takes_too_long(pool: TenantDatabase, _admin: asyncpg.Connection) -> None:
    async def takes_too_long(conn: asyncpg.Connection) -> None:
        await conn.execute("SET LOCAL statement_timeout = 50")
        await conn.execute(_SLOW)

    with pytest.raises(Problem):
        await pool.ask(TENANTS[0], takes_too_long)


async def _the_server_cancels_it(pool: TenantDatabase, admin: asyncpg.Connection) -> None:
    asking = asyncio.create_task(pool.ask(TENANTS[0], _sleep))
    pid = await eventually(lambda: admin.fetchval(_SLOW_ONE, _SLOW))
    await admin.execute("SELECT pg_cancel_backend($1)", pid)
    with pytest.raises(Problem):
        await asking


async def _who_asked_has_gone(pool: TenantDatabase, admin: asyncpg.Connection) -> None:
    asking = asyncio.create_task(pool.ask(TENANTS[0], _sleep))
    await eventually(lambda: admin.fetchval(_SLOW_ONE, _SLOW))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def _what_reads_bit_by_bit_breaks_off(pool: TenantDatabase, _admin: asyncpg.Connection) -> None:
    async def reads() -> None:
        async with pool._transaction(TENANTS[0]) as conn:
            await conn.execute("DECLARE found CURSOR FOR SELECT * FROM order_events; FETCH 2 FROM found")
            raise LookupError

    with pytest.raises(LookupError):
        await reads()


async def _its_connection_is_cut(pool: TenantDatabase, admin: asyncpg.Connection) -> None:
    async def asks_again(conn: asyncpg.Connection) -> int:
        if not asked:
            asked.append(True)
            await conn.execute(_SLOW)
        return 1

    asked: list[bool] = []
    asking = asyncio.create_task(pool.ask(TENANTS[0], asks_again))
    pid = await eventually(lambda: admin.fetchval(_SLOW_ONE, _SLOW))
    await admin.execute("SELECT pg_terminate_backend($1)", pid)
    assert await asking == 1


_Fault = Callable[[TenantDatabase, asyncpg.Connection], Awaitable[None]]
_FAULTS: tuple[_Fault, ...] = (
    _a_statement_fails,
    _a_statement_takes_too_long,
    _the_server_cancels_it,
    _who_asked_has_gone,
    _what_reads_bit_by_bit_breaks_off,
    _its_connection_is_cut,
)


async def test_a_connection_forgets_its_tenant_however_a_question_ended(
    pool_of_one: TenantDatabase, admin: asyncpg.Connection, there: Rows
) -> None:
    """After it the connection sees no row without a tenant, and the next tenant's question only its own."""

    async def seen(conn: Any) -> Rows:
        return {name: await tenants_seen(conn, name) for name in there}

    for fault in (None, *_FAULTS):
        if fault is not None:
            await fault(pool_of_one, admin)
        async with pool_of_one._pool.acquire() as conn:
            assert not any((await seen(conn)).values()), fault
        for tenant in reversed(TENANTS):
            own = {name: {tenant: tenants[tenant]} for name, tenants in there.items()}
            assert await pool_of_one.ask(tenant, seen) == own, fault
