"""Why Kafka takes no connection of ours, and what to do: aiokafka raises only that there is none."""

import ssl
from asyncio import IncompleteReadError
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from messaging.connection import KafkaConnection

_PROBE_TIMEOUT_MS = 5_000


class KafkaRefused(KafkaConnectionError):  # type: ignore[misc] # aiokafka ships no types
    """Kafka is there, but no connection comes about: the message says why and which settings to check."""

    retriable = False


@asynccontextmanager
async def telling_refusals(kafka: KafkaConnection) -> AsyncIterator[None]:
    """Raise KafkaRefused where a client of ours was turned away.

    aiokafka then raises the same KafkaConnectionError as for a server that isn't there, so Kafka is asked
    once more.
    """
    try:
        yield
    except KafkaConnectionError as error:
        if reason := await _refusal(kafka):
            raise KafkaRefused(reason) from error
        raise


@asynccontextmanager
async def admin_client(kafka: KafkaConnection) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give a client that may ask and change what a consumer or producer can't. Raises KafkaRefused too."""
    admin = AIOKafkaAdminClient(**kafka.options())
    try:
        # A start that fails may have opened connections.
        async with telling_refusals(kafka):
            await admin.start()
        yield admin
    finally:
        await admin.close()


async def _refusal(kafka: KafkaConnection) -> str | None:
    options = kafka.options()
    for host, port, _ in collect_hosts(options.pop("bootstrap_servers")):
        try:
            connection = await create_conn(host, port, request_timeout_ms=_PROBE_TIMEOUT_MS, **options)
            try:
                # A listener that wants a password answers only the handshake of a client without one.
                await connection.send(MetadataRequest([]))
            finally:
                connection.close()
        except (KafkaError, OSError) as error:
            if told := _told(error, kafka):
                return f"Kafka at {host}:{port} {told}"
    return None


def _told(error: Exception, kafka: KafkaConnection) -> str | None:
    """Say what happened and what to do; None for a server that merely isn't there."""
    # Of a connection that was closed, aiokafka keeps the reason as the cause.
    match error.__cause__ or error:
        case SaslAuthenticationFailed() as refused:
            return (
                f"refuses the user {kafka.username}: {refused.args[0]}. Check TILLSTREAM_KAFKA_SASL_USERNAME,"
                f" TILLSTREAM_KAFKA_SASL_PASSWORD and TILLSTREAM_KAFKA_SASL_MECHANISM ({kafka.mechanism}):"
                " a user has a password for each mechanism"
            )
        case UnsupportedSaslMechanismError():
            return f"takes no {kafka.mechanism}: set TILLSTREAM_KAFKA_SASL_MECHANISM to one of the broker's"
        case ssl.SSLCertVerificationError() as unverified:
            return (
                f"has a certificate that does not do: {unverified.verify_message}. Check"
                " TILLSTREAM_KAFKA_SSL_CA_FILE, and that the certificate is for the host in"
                " TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS"
            )
        case ssl.SSLError() as alert:
            return (
                f"ends TLS with {alert.reason}. Check TILLSTREAM_KAFKA_SSL_CERTIFICATE_FILE and"
                " TILLSTREAM_KAFKA_SSL_KEY_FILE: it may ask for a certificate of an authority that it trusts"
            )
        case IllegalSaslStateError() | IncompleteReadError() | ConnectionResetError():
            return (
                f"ends the connection unasked, as a port does that does not speak {kafka.protocol}. Check"
                " TILLSTREAM_KAFKA_SECURITY_PROTOCOL and the port"
            )
    return None
