"""A whole system of processes, for clients that know nothing of our code."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from clients.script import TENANT
from harness.installation import Installation, fresh_installation
from harness.processes import ServiceProcess
from harness.servers import Servers


@dataclass(frozen=True)
class System:
    """What runs: every service, and over HTTP whoever asks is a manager of the script's tenant."""

    installation: Installation
    query_service: ServiceProcess
    command_service: ServiceProcess

    @property
    def address(self) -> str:
        """Where it answers over HTTP."""
        return f"http://127.0.0.1:{self.query_service.port}"

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """Give a superuser's connection."""
        conn = await asyncpg.connect(self.installation.database_url("postgres"))
        try:
            yield conn
        finally:
            await conn.close()


@pytest.fixture(scope="module")
def system(session_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Give a module's system, ready."""
    with fresh_installation(session_servers, tmp_path_factory.mktemp("system")) as installation:
        query_service = installation.service("query_service", development_identity=f"{TENANT}:mia:manager")
        command_service = installation.service("command_service")
        services = [
            query_service,
            command_service,
            installation.service("outbox_relay"),
            installation.service("projector", "order_summary"),
        ]

        async def ready() -> None:
            await asyncio.gather(*(service.ready() for service in services))

        asyncio.run(ready())
        yield System(installation, query_service, command_service)


@pytest.fixture
async def conn(installation: Installation) -> AsyncIterator[asyncpg.Connection]:
    """Give a superuser's connection to the database of the module's `installation`."""
    made = await asyncpg.connect(installation.database_url("postgres"))
    yield made
    await made.close()
