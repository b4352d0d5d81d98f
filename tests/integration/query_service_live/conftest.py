"""The query service on a port of its own, over a real Kafka and a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from commands import ORDERS
from integration.query_service.conftest import AUDIENCE, ISSUER, Issuer
from integration.query_service_live.following import LiveService
from messaging import KafkaConnection, ensure_topics
from query_service.app import assembled, create_app
from query_service.settings import QuerySettings
from runtime import serve_app


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """Give who issues the tokens."""
    return Issuer()


@pytest.fixture
async def new_service(
    database: Any, kafka_server: Any, topic_prefix: str, issuer: Issuer
) -> AsyncIterator[Any]:
    """Give a maker of services over the same topics, of two partitions; settings go by name."""
    await ensure_topics(
        KafkaConnection(kafka_server.bootstrap_servers), ORDERS.topics(topic_prefix), partitions=2
    )
    async with AsyncExitStack() as stack:

        async def make(*, ready: bool = True, **settings: Any) -> LiveService:
            made = QuerySettings(
                **{
                    "kafka_bootstrap_servers": kafka_server.bootstrap_servers,
                    "topic_prefix": topic_prefix,
                    "database_url": database.dsn("query_service"),
                    "jwt_keys": issuer.key_set,
                    "jwt_issuer": ISSUER,
                    "jwt_audience": AUDIENCE,
                    **settings,
                }
            )
            service = await stack.enter_async_context(assembled(made, asyncio.Event()))
            port = await stack.enter_async_context(
                serve_app(create_app(service), "127.0.0.1", 0, patience=5.0)
            )
            # First of all, as at SIGTERM: streams are open for as long as they are let.
            stack.callback(service.stopping.set)
            live = await stack.enter_async_context(
                LiveService.over(service, port, issuer, kafka_server.bootstrap_servers)
            )
            return await live.ready() if ready else live

        yield make


@pytest.fixture
async def live(new_service: Any) -> LiveService:
    """Give one service that follows the topic."""
    made: LiveService = await new_service()
    return made
