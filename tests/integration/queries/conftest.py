from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from integration.projector.order_log import OrderLog
from integration.till.read_models_made import make_read_models

Ask = Callable[[OrderLog], Awaitable[asyncpg.Connection]]


@pytest.fixture
async def asked(database: Any) -> AsyncIterator[Ask]:
    """Give a maker of a stored log with its read models; it gives the connection that may only read."""
    connections = []

    async def make(log: OrderLog) -> asyncpg.Connection:
        admin = await asyncpg.connect(database.dsn())
        connections.append(admin)
        await log.store(admin)
        await make_read_models(database.dsn("projector"), log)
        connections.append(await asyncpg.connect(database.dsn("query")))
        return connections[-1]

    yield make
    for connection in connections:
        await connection.close()
