"""The servers and databases that tests run against.

`TILLSTREAM_SERVERS` picks the provider: `embedded` (the default) starts a real PostgreSQL and a real Kafka
for the session; `containers` starts both on a Docker engine; `external` takes `TILLSTREAM_ADMIN_DATABASE_URL`
(a superuser's) and `TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS`. The workers of pytest-xdist share them.
"""

import asyncio
import os
import secrets
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from harness.servers import (
    AskedServers,
    Choice,
    FreshDatabase,
    KafkaServer,
    OwnServers,
    PostgresServer,
    Servers,
    fresh_database,
)

_ADDRESSES = ("TILLSTREAM_ADMIN_DATABASE_URL", "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS")
_CHOICE = pytest.StashKey[str]()
_SERVERS = pytest.StashKey[AskedServers | OwnServers]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test whose docstring doesn't state the rule it keeps."""
    if isinstance(item, pytest.Function) and not item.function.__doc__:
        pytest.fail(f"{item.name} has no docstring: state its rule in one sentence.", pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    """Take the choice of servers out of the environment: what the tests start gets settings of its own."""
    # Started in a shell's background, this process and all it starts would ignore Ctrl-C, which tests send.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # What the shell says of its window would show in what `till` prints.
    os.environ.pop("COLUMNS", None)
    told: dict[str, Any] | None = getattr(config, "workerinput", None)
    if told is not None:
        config.stash[_CHOICE] = told["choice"]
        config.stash[_SERVERS] = AskedServers(*told["servers"])
        return
    servers = os.environ.pop("TILLSTREAM_SERVERS", "embedded")
    addresses = {name: os.environ.pop(name, "") for name in _ADDRESSES}
    if servers not in {"embedded", "containers", "external"}:
        pytest.exit(
            f"TILLSTREAM_SERVERS={servers} is not known: use embedded, containers or external.", returncode=4
        )
    if servers == "external" and (missing := [name for name, value in addresses.items() if not value]):
        pytest.exit(f"TILLSTREAM_SERVERS=external needs {' and '.join(missing)}.", returncode=4)
    if servers == "containers":
        # Docker's client takes long to import, and most sessions don't need it.
        from harness.containers import need_engine  # noqa: PLC0415

        need_engine()
    config.stash[_CHOICE] = servers
    config.stash[_SERVERS] = OwnServers(Choice(servers, *addresses.values()))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the servers are."""
    owner = node.config.stash[_SERVERS]
    node.workerinput |= {"choice": node.config.stash[_CHOICE], "servers": owner.address()}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Have a file's tests run in one worker, whose fixtures of the module serve them all."""
    # Few sessions have workers.
    from harness.scheduling import ByFile  # noqa: PLC0415

    return ByFile(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what was started, at the end of the session."""
    if _SERVERS in config.stash:
        config.stash[_SERVERS].close()


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> str:
    """Give the provider of the session's servers."""
    return pytestconfig.stash[_CHOICE]


@pytest.fixture(scope="session")
def session_servers(pytestconfig: pytest.Config) -> Servers:
    """Give the session's servers, each of which starts when it is first asked for."""
    return pytestconfig.stash[_SERVERS]


@pytest.fixture(scope="session")
def postgres_server(session_servers: Servers) -> PostgresServer:
    """Give the session's PostgreSQL."""
    return PostgresServer(session_servers.postgres())


@pytest.fixture
def database(session_servers: Servers) -> Iterator[FreshDatabase]:
    """Give the test a migrated database of its own."""
    with fresh_database(session_servers) as made:
        yield made


@pytest.fixture(scope="session")
def kafka_server(session_servers: Servers) -> KafkaServer:
    """Give the session's Kafka."""
    return KafkaServer(session_servers.kafka())


async def _delete_topics(bootstrap_servers: str, prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        ours = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
        if ours:
            await admin.delete_topics(ours)
    finally:
        await admin.close()


@pytest.fixture
def topic_prefix(kafka_server: KafkaServer) -> Iterator[str]:
    """Give the test a prefix for its topics and groups; the topics are gone after it."""
    prefix = f"t{secrets.token_hex(6)}."
    yield prefix
    # Each partition costs the broker files and memory: hundreds of tests would slow it down.
    asyncio.run(_delete_topics(kafka_server.bootstrap_servers, prefix))
