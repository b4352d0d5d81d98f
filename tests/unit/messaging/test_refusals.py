"""What is told apart when a client of ours gets no connection; against Kafka in tests/e2e/security."""

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError, UnsupportedSaslMechanismError
from pydantic import SecretStr

from local.servers import free_port
from messaging import KafkaConnection, KafkaRefused, refusals
from messaging.refusals import telling_refusals

SECRET = SecretStr("hunter2")


async def told(kafka: KafkaConnection) -> KafkaConnectionError:
    """Give the error of a client that could not connect."""
    with pytest.raises(KafkaConnectionError) as raised:
        async with telling_refusals(kafka):
            raise KafkaConnectionError("Unable to bootstrap")
    return raised.value


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_SSL"])
async def test_a_server_that_is_not_there_refuses_nobody(protocol: str) -> None:
    """Where nothing listens, the error stays aiokafka's: there is no setting to blame."""
    kafka = KafkaConnection(
        f"127.0.0.1:{free_port()}",
        protocol,  # type: ignore[arg-type] # one of the four
        username="relay",
        password=SECRET,
    )
    assert not isinstance(await told(kafka), KafkaRefused)


async def test_a_port_that_hangs_up_speaks_something_else() -> None:
    """A port that ends the connection during the handshake is told as one of another protocol."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await told(KafkaConnection(f"127.0.0.1:{port}", "SSL"))
    assert isinstance(error, KafkaRefused)
    assert "does not speak SSL" in str(error)


async def test_a_mechanism_that_the_broker_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mechanism that isn't switched on is told with its setting, and is no reason to try again."""

    async def refuse(*_arguments: object, **_options: object) -> None:
        raise UnsupportedSaslMechanismError("only PLAIN")

    monkeypatch.setattr(refusals, "create_conn", refuse)
    refused = await told(KafkaConnection("kafka:9093", "SASL_SSL", username="relay", password=SECRET))
    assert isinstance(refused, KafkaRefused)
    assert "takes no SCRAM-SHA-512: set TILLSTREAM_KAFKA_SASL_MECHANISM" in str(refused)
    assert not refused.retriable


async def test_a_client_s_other_errors_pass() -> None:
    """What is no lost connection is raised as it is."""
    with pytest.raises(ValueError, match="other"):
        async with telling_refusals(KafkaConnection("kafka:9093")):
            raise ValueError("other")
