"""Two tenants' orders, with rows of both in every table that has a tenant."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from eventstore import Batch, EventStore
from integration.projector.order_log import CONFIRM, VOID, OrderLog, create, item, order_key
from integration.projector.refusing import refuse
from integration.tenants.catalogue import TENANTS, Connect
from integration.till.read_models_made import make_read_models
from orders import ORDER
from readmodels import READ_MODELS

_PARK = """
INSERT INTO projections.parked
    (read_model, generation, tenant_id, order_id, partition, version, newest_version, last_offset, error)
VALUES ($1, 1, $2, $3, 0, 1, 1, 0, 'no')
"""
_OTHERS = """
INSERT INTO outbox (shard, topic, headers, value) VALUES (1, 'orders.events', '[]', 'store-1');
INSERT INTO operations.actions (actor, action, arguments) VALUES ('ann', 'pause', '{}');
INSERT INTO operations.pauses (read_model, cause, action_id)
    SELECT 'sales', 'operator', id FROM operations.actions;
INSERT INTO operations.builds (read_model, kind, version, after_tenant, error)
    VALUES ('sales', 'rebuild', 1, 'store-1', 'store-1');
INSERT INTO projections.checkpoints
    (read_model, generation, topic, partition, topic_id, next_offset, epoch, refolding, refolded_tenant)
    VALUES ('sales', 1, 'orders.events', 0, gen_random_uuid(), 0, 0, true, 'store-1');
INSERT INTO operations.tenants (tenant_id, time_zone, day_ends_at, clock_ahead_limit, refuse_clock_ahead)
    VALUES ('store-1', 'UTC', '04:00', 300, false), ('store-2', 'UTC', '05:00', 300, false);
"""


@pytest.fixture
async def connect(database: Any) -> AsyncIterator[Connect]:
    """Give a maker of connections under a role, named without its prefix."""
    async with AsyncExitStack() as stack:

        async def made(role: str = "postgres") -> asyncpg.Connection:
            conn = await asyncpg.connect(database.dsn(role))
            stack.push_async_callback(conn.close)
            return conn

        yield made


@pytest.fixture
async def admin(connect: Connect) -> asyncpg.Connection:
    """Give a superuser's connection."""
    return await connect()


@pytest.fixture
async def filled(database: Any, admin: asyncpg.Connection) -> OrderLog:
    """Have orders of the same ids in both tenants, and what else there is of them; give their log."""
    log, store = OrderLog(), EventStore(ORDER)
    for tenant in TENANTS:
        for name, end in (("sold", CONFIRM), ("voided", VOID)):
            log.do(order_key(name, tenant), create(), item("2.50"), item("1.20"), end)
    await log.store(admin)
    await make_read_models(database.dsn("projector"), log, names=tuple(READ_MODELS))
    for tenant in TENANTS:
        key = order_key("sold", tenant)
        await refuse(admin, key)
        taken = store.snapshot(key, await store.load(admin, key))
        await store.append(admin, Batch(snapshots=[taken]))
        await admin.execute(_PARK, "sales", *key)
    await admin.execute(_OTHERS)
    return log
