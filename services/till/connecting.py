"""How a verb reaches the installation: by a connection that may only read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg

from runtime import Settings
from till.errors import NotUpError

T = TypeVar("T")

CONNECT_TIMEOUT = 5.0
STATEMENT_TIMEOUT = 60.0


def run(verb: Coroutine[Any, Any, T]) -> T:
    """Run a verb's coroutine; what aiokafka logs of lost connections is told in our own words instead."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return asyncio.run(verb)


@asynccontextmanager
async def query_connection(where: Settings) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection of the role that may only read.

    Raises NotUpError when PostgreSQL doesn't answer, or turns the role away.
    """
    url = where.database_url.get_secret_value()
    address = urlsplit(url)
    try:
        connection = await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT,
            command_timeout=STATEMENT_TIMEOUT,
            server_settings={"application_name": "till", "timezone": "UTC"},
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise NotUpError(
            f"PostgreSQL at {address.hostname}:{address.port} does not let us in: {error!r}."
        ) from error
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT)
