"""One installation for all tests of a module: what one fault left behind, the next one finds."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from faults.town import Town
from harness.installation import Installation, fresh_installation
from harness.plain_client import plain_client
from harness.servers import Servers
from harness.whole_topics import whole_topics


@pytest.fixture(scope="module")
def installation(
    session_servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Give an installation with topics and schema, without any service running yet."""
    with fresh_installation(session_servers, tmp_path_factory.mktemp("faults")) as made:
        yield made


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
