"""Connections to a fresh database."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from eventstore import Connection


@pytest.fixture
def database(database: Any) -> Any:
    """Give the test's database, with the tables of a second aggregate type beside the orders'."""

    async def make() -> None:
        connection = await asyncpg.connect(database.dsn())
        await connection.execute("SELECT make_event_tables('tally')")
        await connection.close()

    asyncio.run(make())
    return database


@pytest_asyncio.fixture
async def conn(database: Any) -> AsyncIterator[Connection]:
    """Give a connection as the command service, which may do all that the event store does."""
    connection = await asyncpg.connect(database.dsn("command_service"))
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def admin(database: Any) -> AsyncIterator[Connection]:
    """Give a connection as the superuser."""
    connection = await asyncpg.connect(database.dsn())
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def pool(database: Any) -> AsyncIterator[asyncpg.Pool]:
    """Give a pool of 12 connections as the command service."""
    async with asyncpg.create_pool(database.dsn("command_service"), min_size=12, max_size=12) as connections:
        yield connections
