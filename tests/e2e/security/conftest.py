"""A Kafka with TLS, users and ACLs, and a PostgreSQL behind TLS: one of each for the session."""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
import trustme
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError, NotLeaderForPartitionError

from commands import ORDERS
from harness.certificates import issue
from harness.installation import Installation
from harness.plain_client import PlainClient, plain_client
from harness.processes import ServiceProcess
from harness.tls_front import TlsFront
from harness.waiting import eventually
from local.servers import Kafka, free_port
from local.servers.security import KafkaSecurity, Tls
from messaging import KafkaConnection, apply_acls, ensure_topics, read_acls
from runtime import SaslMechanism, Settings

PRINCIPALS = (
    "upstream",
    "command_service",
    "outbox_relay",
    "projector",
    "query_service",
    "operator",
    "analyst",
)
MECHANISMS = get_args(SaslMechanism)
# `till` and the services of one installation; the other tests' topics have no prefix.
PREFIX = "shop."
# Of an installation without topics yet.
NEW_PREFIX = "new-shop."
ACLS = Path(__file__).parents[3] / "deploy" / "kafka-acls.toml"
Dsn = Callable[[str], str]


@dataclass(frozen=True)
class SecuredKafka:
    """A running broker that takes nobody without TLS, and a password or a certificate.

    A way in is a SASL mechanism, or `certificate`.
    """

    server: Kafka
    security: KafkaSecurity
    certificates: Mapping[str, Tls]

    def password(self, principal: str, mechanism: str = "SCRAM-SHA-512") -> str:
        """Give a user's password, another one for each mechanism."""
        return self.security.passwords[mechanism][principal]

    def settings(self, principal: str, way: str = "SCRAM-SHA-512") -> dict[str, str]:
        """Give the settings of a process of ours."""
        ca_file = {"kafka_ssl_ca_file": str(self.security.tls.ca_file)}
        if way == "certificate":
            own = self.certificates[principal]
            return {
                "kafka_bootstrap_servers": f"127.0.0.1:{self.security.certificate_port}",
                "kafka_security_protocol": "SSL",
                "kafka_ssl_certificate_file": str(own.certificate_file),
                "kafka_ssl_key_file": str(own.key_file),
                **ca_file,
            }
        return {
            "kafka_bootstrap_servers": self.server.bootstrap_servers,
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_mechanism": way,
            "kafka_sasl_username": principal,
            "kafka_sasl_password": self.password(principal, way),
            **ca_file,
        }

    def connection(self, principal: str, way: str = "SCRAM-SHA-512") -> KafkaConnection:
        """Give a client's connection."""
        return KafkaConnection.of(Settings.model_validate(self.settings(principal, way)))

    def environment(self, principal: str, way: str = "SCRAM-SHA-512", **more: str) -> dict[str, str]:
        """Give the environment of a process of ours."""
        settings = {**self.settings(principal, way), **more}
        return {**os.environ, **{f"TILLSTREAM_{name.upper()}": value for name, value in settings.items()}}


@asynccontextmanager
async def client_of(
    kafka: SecuredKafka, principal: str, way: str = "SCRAM-SHA-512"
) -> AsyncIterator[PlainClient]:
    """Give an upstream's or an analyst's client."""
    options = kafka.connection(principal, way).options()
    async with plain_client(options.pop("bootstrap_servers"), PREFIX, **options) as client:
        yield client


async def _permit(kafka: SecuredKafka, prefix: str) -> None:
    await apply_acls(kafka.connection("admin"), read_acls(ACLS.read_text(), prefix))


async def _make_topics(kafka: SecuredKafka, prefix: str) -> None:
    async def allowed() -> bool:
        # A permission holds a moment after it was made: brokers learn of it from the controller.
        try:
            await ensure_topics(kafka.connection("operator"), ORDERS.topics(prefix), partitions=2)
        except KafkaError:
            return False
        return True

    await eventually(allowed)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Give the authority that both servers' certificates are of."""
    return trustme.CA()


@pytest.fixture(scope="session")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[SecuredKafka]:
    """Give a broker with the permissions of deploy/, its topics made by the operator."""
    folder = tmp_path_factory.mktemp("secured-kafka")
    security = KafkaSecurity(
        tls=issue(folder, "kafka", authority, "127.0.0.1"),
        passwords={
            mechanism: {name: secrets.token_hex(16) for name in ("admin", *PRINCIPALS)}
            for mechanism in MECHANISMS
        },
        super_user="admin",
        certificate_port=free_port(),
    )
    certificates = {name: issue(folder, name, authority, "client.invalid") for name in PRINCIPALS}
    with Kafka(folder / "data", free_port(), security=security) as server:
        kafka = SecuredKafka(server, security, certificates)
        # The broker learns of permissions in their order: these hold once the others do.
        asyncio.run(_permit(kafka, NEW_PREFIX))
        for prefix in ("", PREFIX):
            asyncio.run(_permit(kafka, prefix))
            asyncio.run(_make_topics(kafka, prefix))
        yield kafka
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_tls(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Tls:
    """Give the certificate of PostgreSQL."""
    return issue(tmp_path_factory.mktemp("secured-postgres"), "postgres", authority, "127.0.0.1")


@pytest.fixture(scope="session")
def postgres_front(postgres_server: Any, postgres_tls: Tls) -> Iterator[int]:
    """Give the port where the session's PostgreSQL is reached with TLS only."""
    address = urlsplit(postgres_server.admin_dsn)
    with TlsFront(postgres_tls, address.hostname or "", address.port or 5432) as front:
        yield front.port


@pytest.fixture
def secured_dsn(database: Any, postgres_front: int, postgres_tls: Tls) -> Dsn:
    """Give the test's database by its address over TLS, for a role."""

    def dsn(role: str) -> str:
        parts = urlsplit(database.dsn(role))
        user = parts.netloc.rpartition("@")[0]
        query = f"sslmode=verify-full&sslrootcert={quote(str(postgres_tls.ca_file))}"
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{postgres_front}", query=query))

    return dsn


async def _forget_what_happened(kafka: SecuredKafka) -> None:
    admin = AIOKafkaAdminClient(**kafka.connection("admin").options())
    await admin.start()
    try:
        topics = ORDERS.topics(PREFIX)
        partitions = [
            TopicPartition(topic, number) for topic in (topics.events, topics.outcomes) for number in range(2)
        ]

        async def deleted() -> bool:
            try:
                await admin.delete_records(dict.fromkeys(partitions, RecordsToDelete(-1)))
            except NotLeaderForPartitionError:  # of topics that were made this moment
                return False
            return True

        await eventually(deleted)
    finally:
        await admin.close()


@pytest.fixture
def secured(
    secured_kafka: SecuredKafka, secured_dsn: Dsn, tmp_path: Path
) -> Iterator[Callable[..., ServiceProcess]]:
    """Start a service under its own principal and role; it tells all it can."""
    # Another test's database has what is there: to this one's the services would refuse to start.
    asyncio.run(_forget_what_happened(secured_kafka))
    with ExitStack() as stack:
        servers = secured_kafka.server.bootstrap_servers
        installation = Installation(servers, PREFIX, secured_dsn, tmp_path, stack)

        def service(
            name: str, *arguments: str, way: str = "SCRAM-SHA-512", afresh: bool = False, **settings: str
        ) -> ServiceProcess:
            own = {**secured_kafka.settings(name, way), "log_level": "DEBUG", **settings}
            return installation.service(name, *arguments, afresh=afresh, **own)

        yield service
