"""The ways by which Kafka knows who we are, and what we say when it doesn't."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import trustme
from aiokafka import AIOKafkaProducer
from aiokafka.errors import TopicAuthorizationFailedError

from e2e.security.conftest import MECHANISMS, PREFIX, Dsn, SecuredKafka, client_of
from harness.certificates import issue
from harness.plain_client import command
from harness.processes import ServiceProcess
from harness.till_process import run_till
from harness.waiting import eventually
from messaging import KafkaConnection, KafkaRefused, Producer

WAYS = (*MECHANISMS, "certificate")
WRONG = "guessed-wrong"


@pytest.mark.parametrize("way", WAYS)
async def test_services_and_clients_get_in(
    secured_kafka: SecuredKafka, secured: Callable[..., ServiceProcess], secured_dsn: Dsn, way: str
) -> None:
    """By each mechanism, and by certificate, a service takes the commands that a client sends."""
    service = await secured("command_service", way=way).ready()
    order_id = uuid4()
    async with client_of(secured_kafka, "upstream", way) as upstream:
        await upstream.send(
            [command("CreateOrder", str(order_id), {"cashier_id": "anna", "currency": "EUR"})]
        )
    database = await asyncpg.connect(secured_dsn("query"))
    try:

        async def decided() -> bool:
            return bool(
                await database.fetchval("SELECT true FROM order_events WHERE aggregate_id = $1", order_id)
            )

        await eventually(decided)
    finally:
        await database.close()
    # The next one need not wait until Kafka misses this one.
    await service.stop()
    passwords = [users["command_service"] for users in secured_kafka.security.passwords.values()]
    assert not any(password in service.log for password in passwords)


@pytest.mark.parametrize("way", WAYS)
async def test_permissions_hold_for_every_way_in(secured_kafka: SecuredKafka, way: str) -> None:
    """However a user came in, Kafka knows which one it is, and refuses it what is not its own."""
    async with AIOKafkaProducer(**secured_kafka.connection("upstream", way).options()) as producer:
        await producer.send_and_wait(f"{PREFIX}orders.commands", b"x", partition=0)
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(f"{PREFIX}orders.events", b"x", partition=0)


@pytest.mark.parametrize("way", WAYS)
def test_kafka_s_own_tools_get_in(secured_kafka: SecuredKafka, tmp_path: Path, way: str) -> None:
    """`till kafka` hands each mechanism, and a certificate, on to Kafka's own tools."""
    ran = run_till(secured_kafka.environment("operator", way), tmp_path, "kafka", "topics", "--list")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{PREFIX}orders.commands" in ran.stdout.split()


@pytest.mark.parametrize(
    ("service", "mechanism"),
    [
        *(("command_service", mechanism) for mechanism in MECHANISMS),
        ("outbox_relay", "SCRAM-SHA-512"),
        ("projector sales", "SCRAM-SHA-512"),
    ],
)
async def test_a_service_with_a_wrong_password_ends(
    secured: Callable[..., ServiceProcess], service: str, mechanism: str
) -> None:
    """A wrong password ends a service, idle or not; its log names the settings, and shows no password."""
    lost = secured(*service.split(), way=mechanism, kafka_sasl_password=WRONG)
    assert await lost.ended() == 70, lost.log
    assert f"refuses the user {service.split(maxsplit=1)[0]}" in lost.log
    assert "TILLSTREAM_KAFKA_SASL_PASSWORD" in lost.log
    assert WRONG not in lost.log


def test_till_tells_of_a_wrong_password(secured_kafka: SecuredKafka, tmp_path: Path) -> None:
    """A verb that Kafka turns away names the user and the settings to look at, and shows no password."""
    (tmp_path / "acls.toml").write_text('[visitor]\nread = ["topic lobby"]\n')
    environment = secured_kafka.environment("admin", "PLAIN", kafka_sasl_password=WRONG)
    ran = run_till(environment, tmp_path, "acls", "acls.toml")
    told = " ".join((ran.stdout + ran.stderr).split())
    assert ran.returncode != 0
    assert "refuses the user admin" in told
    assert "TILLSTREAM_KAFKA_SASL_PASSWORD" in told
    assert WRONG not in told


@pytest.fixture
def by_password(secured_kafka: SecuredKafka) -> KafkaConnection:
    """Give a connection that is let in by its password."""
    return secured_kafka.connection("upstream")


@pytest.fixture
def by_certificate(secured_kafka: SecuredKafka) -> KafkaConnection:
    """Give a connection that is let in by its certificate."""
    return secured_kafka.connection("upstream", "certificate")


async def refusal(connection: KafkaConnection) -> str:
    producer = Producer(connection)
    try:
        with pytest.raises(KafkaRefused) as refused:
            await producer.start()
    finally:
        await producer.drop()
    return str(refused.value)


async def test_an_unknown_user_is_named(by_password: KafkaConnection) -> None:
    """A user that Kafka doesn't know is refused by name."""
    told = await refusal(replace(by_password, username="nobody"))
    assert "refuses the user nobody" in told
    assert "TILLSTREAM_KAFKA_SASL_USERNAME" in told


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT", "SSL"])
async def test_less_than_tls_and_a_password_is_refused(by_password: KafkaConnection, protocol: str) -> None:
    """Without TLS, without a password, or without both, the error names the protocol's setting."""
    told = await refusal(replace(by_password, protocol=protocol))  # type: ignore[arg-type] # one of the four
    assert f"does not speak {protocol}" in told
    assert "TILLSTREAM_KAFKA_SECURITY_PROTOCOL" in told


@pytest.mark.parametrize("trusted", ["the system's authorities", "another authority"])
async def test_a_broker_of_an_unknown_authority_is_refused(
    by_password: KafkaConnection, tmp_path: Path, trusted: str
) -> None:
    """A broker whose certificate is not of our authority gets no password; the error names the setting."""
    other = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(other)
    ca_file = other if trusted == "another authority" else None
    told = await refusal(replace(by_password, ca_file=ca_file))
    assert "unable to get local issuer certificate" in told
    assert "TILLSTREAM_KAFKA_SSL_CA_FILE" in told


async def test_a_broker_of_another_name_is_refused(
    by_password: KafkaConnection, secured_kafka: SecuredKafka
) -> None:
    """A broker whose certificate is for another host gets no password, and the error names the host."""
    told = await refusal(replace(by_password, bootstrap_servers=f"localhost:{secured_kafka.server.port}"))
    assert "not valid for 'localhost'" in told
    assert "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS" in told


@pytest.mark.parametrize("shown", ["none", "another authority's"])
async def test_a_certificate_of_the_brokers_authority_is_needed(
    by_certificate: KafkaConnection, tmp_path: Path, shown: str
) -> None:
    """Where certificates are asked for, none, or another authority's, is refused by the setting's name."""
    other = issue(tmp_path, "upstream", trustme.CA(), "client.invalid")
    certificate_file, key_file = {
        "none": (None, None),
        "another authority's": (other.certificate_file, other.key_file),
    }[shown]
    told = await refusal(replace(by_certificate, certificate_file=certificate_file, key_file=key_file))
    assert "TILLSTREAM_KAFKA_SSL_CERTIFICATE_FILE" in told


async def test_a_password_does_not_replace_a_certificate(
    by_password: KafkaConnection, by_certificate: KafkaConnection
) -> None:
    """A right password is worth nothing at the port that asks for certificates."""
    told = await refusal(replace(by_password, bootstrap_servers=by_certificate.bootstrap_servers))
    assert "TILLSTREAM_KAFKA_SSL_CERTIFICATE_FILE" in told
