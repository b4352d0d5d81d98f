"""A query service behind a port of this machine, over the town, for clients that know nothing of our code."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from integration.query_service.conftest import AUDIENCE, ISSUER, Issuer, issuer, new_client, shop, town
from local.servers import free_port
from query_service.app import assembled, create_app
from query_service.settings import QuerySettings
from runtime import serve_app

# Fixtures of another folder's.
__all__ = ["issuer", "new_client", "shop", "town"]


@contextmanager
def _served(settings: QuerySettings) -> Iterator[str]:
    """Run the service in a thread with a loop of its own, without Kafka; give its address."""
    loop, stopping, serving = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def serve() -> None:
        async with (
            assembled(settings, stopping) as service,
            serve_app(create_app(service), settings.http_host, settings.http_port, patience=1),
        ):
            serving.set()
            await stopping.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        assert serving.wait(30)
        yield f"http://127.0.0.1:{settings.http_port}"
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(30)
        loop.close()


# Of a module: its thread logs, and would do so into what others print.
@pytest.fixture(scope="module")
def served(town: Any, issuer: Issuer) -> Iterator[str]:
    """Give the address of a query service over the town."""
    settings = QuerySettings(
        database_url=town.dsn("query_service"),
        kafka_bootstrap_servers="127.0.0.1:1",
        jwt_keys=issuer.key_set,
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        http_port=free_port(),
        requests_per_minute=1_000_000,
    )
    with _served(settings) as address:
        yield address


@pytest.fixture
async def http(served: str) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client that has no token yet."""
    async with httpx.AsyncClient(base_url=served, timeout=30) as client:
        yield client
