"""The servers and databases that tests run against.

`TILLSTREAM_SERVERS` picks the provider: `embedded` (the default) starts a real PostgreSQL and a real Kafka
for the session; `containers` starts both on a Docker engine; `external` takes `TILLSTREAM_ADMIN_DATABASE_URL`
(a superuser's) and `TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from eventstore import migrate, set_passwords
from local.servers import Kafka, Postgres, free_port, kafka_tool

_ADDRESSES = ("TILLSTREAM_ADMIN_DATABASE_URL", "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS")
_CHOICE = pytest.StashKey["_Choice"]()

ROLES = ("command_service", "outbox_relay", "projector", "query", "query_service", "operator", "analyst")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test whose docstring doesn't state the rule it keeps."""
    if isinstance(item, pytest.Function) and not item.function.__doc__:
        pytest.fail(f"{item.name} has no docstring: state its rule in one sentence.", pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    """Take the choice of servers out of the environment: what the tests start gets settings of its own."""
    # Started in a shell's background, this process and all it starts would ignore Ctrl-C, which tests send.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    servers = os.environ.pop("TILLSTREAM_SERVERS", "embedded")
    addresses = {name: os.environ.pop(name, "") for name in _ADDRESSES}
    config.stash[_CHOICE] = _Choice(servers, *addresses.values())
    if servers not in {"embedded", "containers", "external"}:
        pytest.exit(
            f"TILLSTREAM_SERVERS={servers} is not known: use embedded, containers or external.", returncode=4
        )
    if servers == "external" and (missing := [name for name, value in addresses.items() if not value]):
        pytest.exit(f"TILLSTREAM_SERVERS=external needs {' and '.join(missing)}.", returncode=4)
    if servers == "containers":
        # Here and below: Docker's client takes long to import, and most sessions don't need it.
        from harness.containers import need_engine  # noqa: PLC0415

        need_engine()


@dataclass(frozen=True)
class _Choice:
    """Which servers the session runs against; the addresses are those of external ones."""

    servers: str
    admin_database_url: str
    kafka_bootstrap_servers: str


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> str:
    """Give the provider of the session's servers."""
    return pytestconfig.stash[_CHOICE].servers


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL server, ours or somebody's, by its superuser's address."""

    admin_dsn: str

    def dsn(self, database: str, role: str = "postgres") -> str:
        """Give the address of a database for the superuser or one of our roles (its name without prefix)."""
        parts = urlsplit(self.admin_dsn)
        netloc = parts.netloc
        if role != "postgres":
            user = f"tillstream_{role}"
            netloc = f"{user}:{quote(self.password(user))}@{netloc.rpartition('@')[2]}"
        return urlunsplit(parts._replace(netloc=netloc, path=f"/{database}"))

    def password(self, user: str) -> str:
        """Give a role's password: the same for all who know the superuser's, a secret to others."""
        return hashlib.sha256(f"{self.admin_dsn} {user}".encode()).hexdigest()


@dataclass(frozen=True)
class Database:
    """A fresh database with our schema and roles."""

    name: str
    server: PostgresServer

    def dsn(self, role: str = "postgres") -> str:
        """Give its address for `postgres` or one of our roles, named without prefix."""
        return self.server.dsn(self.name, role)


@dataclass(frozen=True)
class KafkaServer:
    """A Kafka cluster, ours or somebody's."""

    bootstrap_servers: str

    def tool(self, name: str, *arguments: str) -> list[str]:
        """Give the command of one of Kafka's own tools, such as `consumer-groups`."""
        return kafka_tool(name, arguments, self.bootstrap_servers)


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _migrate(dsn: str, passwords: dict[str, str]) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await migrate(connection)
        await set_passwords(connection, passwords)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres_server(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PostgresServer]:
    """Give the session's PostgreSQL."""
    choice = pytestconfig.stash[_CHOICE]
    if choice.servers == "external":
        yield PostgresServer(choice.admin_database_url)
        return
    if choice.servers == "containers":
        from harness.containers import postgres_container  # noqa: PLC0415

        with postgres_container() as address:
            yield PostgresServer(address)
        return
    folder = tmp_path_factory.mktemp("postgres")
    with Postgres(folder, free_port()) as server:
        yield PostgresServer(server.dsn())
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def _template(postgres_server: PostgresServer) -> Iterator[str]:
    """Make a migrated database to copy from: a copy is much quicker than a migration."""
    name = f"tillstream_template_{secrets.token_hex(6)}"
    asyncio.run(_execute(postgres_server.admin_dsn, f"CREATE DATABASE {name}"))
    passwords = {role: postgres_server.password(role) for role in (f"tillstream_{role}" for role in ROLES)}
    asyncio.run(_migrate(postgres_server.dsn(name), passwords))
    yield name
    asyncio.run(_execute(postgres_server.admin_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def database(postgres_server: PostgresServer, _template: str) -> Iterator[Database]:
    """Give the test a migrated database of its own."""
    name = f"tillstream_test_{secrets.token_hex(6)}"
    asyncio.run(_execute(postgres_server.admin_dsn, f"CREATE DATABASE {name} TEMPLATE {_template}"))
    yield Database(name, postgres_server)
    asyncio.run(_execute(postgres_server.admin_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def kafka_server(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaServer]:
    """Give the session's Kafka."""
    choice = pytestconfig.stash[_CHOICE]
    if choice.servers == "external":
        yield KafkaServer(choice.kafka_bootstrap_servers)
        return
    if choice.servers == "containers":
        from harness.containers import kafka_container  # noqa: PLC0415

        with kafka_container() as address:
            yield KafkaServer(address)
        return
    folder = tmp_path_factory.mktemp("kafka")
    with Kafka(folder, free_port()) as server:
        yield KafkaServer(server.bootstrap_servers)
    shutil.rmtree(folder)


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
