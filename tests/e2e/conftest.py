"""What end-to-end tests start from."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from commands import ORDERS
from harness.installation import Installation
from harness.plain_client import PlainClient, plain_client
from messaging import KafkaConnection, ensure_topics


@pytest.fixture
def installation(
    kafka_server: Any, topic_prefix: str, database: Any, tmp_path: Path
) -> Iterator[Installation]:
    """Give an installation with topics and schema, without any service running yet."""
    asyncio.run(ensure_topics(KafkaConnection(kafka_server.bootstrap_servers), ORDERS.topics(topic_prefix)))
    with ExitStack() as stack:
        yield Installation(kafka_server.bootstrap_servers, topic_prefix, database.dsn, tmp_path, stack)


@pytest.fixture
async def upstream(installation: Installation) -> AsyncIterator[PlainClient]:
    """Give a client that uses none of our code."""
    async with plain_client(installation.bootstrap_servers, installation.prefix) as client:
        yield client


@pytest.fixture
async def admin(installation: Installation) -> AsyncIterator[asyncpg.Connection]:
    """Give a superuser's connection to the installation's database."""
    connection = await asyncpg.connect(installation.database_url("postgres"))
    try:
        yield connection
    finally:
        await connection.close()
