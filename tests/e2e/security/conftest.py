"""A Kafka with TLS, users and ACLs, and a PostgreSQL behind TLS: one of each for the session."""

import asyncio
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
import trustme
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from harness.certificates import issue
from harness.tls_front import TlsFront
from harness.waiting import eventually
from localservers import Kafka, KafkaSecurity, Tls, free_port
from messaging import KafkaConnection, Topics, apply_acls, ensure_topics, read_acls

PRINCIPALS = ("upstream", "command_service", "outbox_relay", "projector", "operator", "analyst")
# `till` and the services of one installation; the other tests' topics have no prefix.
PREFIX = "shop."
ACLS = Path(__file__).parents[3] / "deploy" / "kafka-acls.toml"


@dataclass(frozen=True)
class SecuredKafka:
    """A running broker that takes nobody without TLS and a password."""

    server: Kafka
    ca_file: Path
    passwords: dict[str, str] = field(repr=False)

    def settings(self, principal: str) -> dict[str, str]:
        """Give the settings of a process of ours."""
        return {
            "kafka_bootstrap_servers": self.server.bootstrap_servers,
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_username": principal,
            "kafka_sasl_password": self.passwords[principal],
            "kafka_ssl_ca_file": str(self.ca_file),
        }

    def connection(self, principal: str) -> KafkaConnection:
        """Give a client's connection."""
        password = SecretStr(self.passwords[principal])
        return KafkaConnection(
            self.server.bootstrap_servers,
            "SASL_SSL",
            username=principal,
            password=password,
            ca_file=self.ca_file,
        )

    def environment(self, principal: str, **more: str) -> dict[str, str]:
        """Give the environment of a process of ours."""
        settings = {**self.settings(principal), **more}
        return {**os.environ, **{f"TILLSTREAM_{name.upper()}": value for name, value in settings.items()}}


async def _set_up(kafka: SecuredKafka, prefix: str) -> None:
    await apply_acls(kafka.connection("admin"), read_acls(ACLS.read_text(), prefix))

    async def allowed() -> bool:
        # A permission holds a moment after it was made: brokers learn of it from the controller.
        try:
            await ensure_topics(kafka.connection("operator"), Topics(prefix), partitions=2)
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
    tls = issue(folder, "kafka", authority, "127.0.0.1")
    passwords = {name: secrets.token_hex(16) for name in ("admin", *PRINCIPALS)}
    with Kafka(folder / "data", free_port(), security=KafkaSecurity(tls, passwords, "admin")) as server:
        kafka = SecuredKafka(server, tls.ca_file, passwords)
        for prefix in ("", PREFIX):
            asyncio.run(_set_up(kafka, prefix))
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
def secured_dsn(database: Any, postgres_front: int, postgres_tls: Tls) -> Callable[[str], str]:
    """Give the test's database by its address over TLS, for a role."""

    def dsn(role: str) -> str:
        parts = urlsplit(database.dsn(role))
        user = parts.netloc.rpartition("@")[0]
        query = f"sslmode=verify-full&sslrootcert={quote(str(postgres_tls.ca_file))}"
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{postgres_front}", query=query))

    return dsn
