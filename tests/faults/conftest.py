"""One installation for all tests of a module: what one fault left behind, the next one finds."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from commands import ORDERS
from faults.town import Town
from harness.installation import Installation
from harness.plain_client import plain_client
from harness.servers import Servers, fresh_database
from harness.whole_topics import whole_topics
from messaging import KafkaConnection, Topics, ensure_topics


async def _delete_topics(bootstrap_servers: str, topics: Topics) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics(list(topics.configurations()))
    finally:
        await admin.close()


@pytest.fixture(scope="module")
def installation(
    session_servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Give an installation with topics and schema, without any service running yet."""
    topics, bootstrap_servers = ORDERS.topics(f"faults{secrets.token_hex(6)}."), session_servers.kafka()
    asyncio.run(ensure_topics(KafkaConnection(bootstrap_servers), topics))
    with fresh_database(session_servers) as database, ExitStack() as stack:
        folder = tmp_path_factory.mktemp("faults")
        yield Installation(bootstrap_servers, topics.prefix, database.dsn, folder, stack)
    asyncio.run(_delete_topics(bootstrap_servers, topics))


@pytest.fixture(scope="module")
def _town(installation: Installation) -> Town:
    return Town(installation)


@pytest.fixture
async def town(_town: Town) -> AsyncIterator[Town]:
    """Give the module's town, with connections of this test's own."""
    installation = _town.installation
    _town.admin = await asyncpg.connect(installation.database_url("postgres"))
    try:
        place = (installation.bootstrap_servers, installation.prefix)
        async with plain_client(*place) as _town.client, whole_topics(*place) as _town.topics:
            yield _town
    finally:
        await _town.admin.close()
