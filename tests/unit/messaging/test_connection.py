"""One connection, in the form each kind of client takes it."""

import ssl
from pathlib import Path

import pytest
import trustme
from aiokafka import AIOKafkaProducer
from faststream.kafka.security import parse_security
from pydantic import SecretStr

from messaging import KafkaConnection
from runtime import SaslMechanism

SECRET = 'hun"ter\\2'  # noqa: S105 - nobody's


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the certificate of an authority."""
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    return file


@pytest.fixture
def secured(ca_file: Path) -> KafkaConnection:
    """Give a connection with TLS and SASL."""
    return KafkaConnection(
        "kafka:9093", "SASL_SSL", username="relay", password=SecretStr(SECRET), ca_file=ca_file
    )


def test_tls_checks_who_answers(secured: KafkaConnection) -> None:
    """TLS always verifies the broker's certificate and its name."""
    context = secured.options()["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"])
def test_faststream_gets_what_aiokafka_gets(ca_file: Path, protocol: str, mechanism: SaslMechanism) -> None:
    """FastStream's security parses to the options of our own clients, for every protocol and mechanism."""
    connection = KafkaConnection(
        "kafka:9093",
        protocol,  # type: ignore[arg-type] # one of the four
        mechanism,
        username="relay",
        password=SecretStr(SECRET),
        ca_file=ca_file if protocol.endswith("SSL") else None,
    )
    ours = {"bootstrap_servers": "kafka:9093", **parse_security(connection.security())}
    theirs = connection.options()
    assert bool(ours.pop("ssl_context")) == bool(theirs.pop("ssl_context")) == protocol.endswith("SSL")
    assert ours == theirs


async def test_every_option_is_one_of_aiokafka_s(secured: KafkaConnection) -> None:
    """The options have the names that clients of aiokafka take them by."""
    AIOKafkaProducer(**secured.options())


def test_the_password_does_not_show(secured: KafkaConnection) -> None:
    """Neither the connection nor what FastStream gets shows the password when printed or logged."""
    assert SECRET not in f"{secured} {secured!r} {secured.security()!r}"


def test_kafka_s_tools_get_a_properties_file(secured: KafkaConnection) -> None:
    """The file names protocol, authority and user; quotes and backslashes are escaped within it."""
    lines = dict(line.split("=", 1) for line in secured.tool_properties().splitlines())
    assert lines["security.protocol"] == "SASL_SSL"
    assert lines["ssl.truststore.location"] == str(secured.ca_file)
    # Twice: once for the quoted string of JAAS, once for the properties file around it.
    assert 'password=\\"hun\\\\\\"ter\\\\\\\\2\\";' in lines["sasl.jaas.config"]
