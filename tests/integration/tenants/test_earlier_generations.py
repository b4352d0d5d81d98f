"""Tables and views that an earlier build made, when a projector of this one starts."""

import asyncio

import asyncpg
import pytest

from integration.projector.order_log import OrderLog
from integration.tenants.catalogue import SERVICE, TENANTS, Connect, tenants_seen
from integration.tenants.earlier_build import leave_tenants_together
from readmodels import READ_MODELS
from readmodels.generations import open_live

NAME = "order_summary"


async def as_before(projector: asyncpg.Connection) -> None:
    await leave_tenants_together(projector, NAME, [NAME])


async def seen_of(conn: asyncpg.Connection, tenant: str) -> set[str]:
    async with conn.transaction():
        await conn.execute("SELECT set_config('tillstream.tenant', $1, true)", tenant)
        return set(await tenants_seen(conn, "read_models.order_summary"))


@pytest.mark.usefixtures("filled")
async def test_an_earlier_builds_tables_are_brought_up(connect: Connect) -> None:
    """What an earlier build made is closed to the query service until a projector has kept tenants apart."""
    projector, service = await connect("projector"), await connect(SERVICE)
    await as_before(projector)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await seen_of(service, TENANTS[0])
    for role in ("query", "analyst", "operator"):
        assert set(await tenants_seen(await connect(role), "read_models.order_summary")) == set(TENANTS)

    await open_live(projector, READ_MODELS[NAME])
    for tenant in TENANTS:
        assert await seen_of(service, tenant) == {tenant}
    for role in ("query", "analyst", "operator"):
        assert set(await tenants_seen(await connect(role), "read_models.order_summary")) == set(TENANTS)


async def test_a_start_waits_for_readers_only_where_there_is_something_to_do(
    filled: OrderLog, connect: Connect
) -> None:
    """A start that finds all done passes a reader who holds the view; another goes on after them."""
    assert filled.orders
    projector, reader = await connect("projector"), await connect("analyst")
    reading = reader.transaction()
    await reading.start()
    await tenants_seen(reader, "read_models.order_summary")
    async with asyncio.timeout(10):
        await open_live(projector, READ_MODELS[NAME])
    await reading.rollback()

    await as_before(projector)
    reading = reader.transaction()
    await reading.start()
    await tenants_seen(reader, "read_models.order_summary")
    starting = asyncio.create_task(open_live(projector, READ_MODELS[NAME]))
    other = await connect("query")
    # Whoever reads meanwhile waits for no longer than an attempt.
    for _ in range(2):
        async with asyncio.timeout(10):
            assert set(await tenants_seen(other, "read_models.order_summary")) == set(TENANTS)
    assert not starting.done()
    await reading.rollback()
    async with asyncio.timeout(30):
        await starting
    assert await seen_of(await connect(SERVICE), TENANTS[0]) == {TENANTS[0]}
