"""The session's servers as containers, for TILLSTREAM_SERVERS=containers."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import pytest
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import ExecWaitStrategy

from local.servers import free_port

POSTGRES_IMAGE = "postgres:18"
KAFKA_IMAGE = "apache/kafka:4.3.1"
_STARTUP_SECONDS = 120


def engine_problem() -> str | None:
    """Say why no Docker engine answers; None when one does."""
    try:
        client = docker.from_env()
        try:
            client.ping()
        finally:
            client.close()
    except (DockerException, OSError) as error:
        return str(error)
    return None


def need_engine() -> None:
    """End the session, with what to do, when no engine answers."""
    if problem := engine_problem():
        pytest.exit(
            f"TILLSTREAM_SERVERS=containers needs a Docker engine, and none answers: {problem}\n"
            "Start Docker, or set DOCKER_HOST to where one is. Or leave TILLSTREAM_SERVERS unset: embedded"
            " servers need no Docker.",
            returncode=4,
        )


def _on_loopback(image: str, container_port: int, host_port: int) -> DockerContainer:
    container = DockerContainer(image)
    # An engine publishes to the whole network unless told not to, and this Kafka lets everybody in.
    container.ports[f"{container_port}/tcp"] = ("127.0.0.1", host_port)  # type: ignore[assignment]
    return container


@contextmanager
def postgres_container(max_connections: int = 100) -> Iterator[str]:
    """Run PostgreSQL; yields its superuser's address."""
    port, password = free_port(), secrets.token_hex(24)
    container = (
        _on_loopback(POSTGRES_IMAGE, 5432, port)
        .with_env("POSTGRES_PASSWORD", password)
        .with_command(f"postgres -c max_connections={max_connections}")
        # Over TCP: the server that initialises the data folder listens on its socket only.
        .waiting_for(
            ExecWaitStrategy(["pg_isready", "--host=127.0.0.1", "--username=postgres"]).with_startup_timeout(
                _STARTUP_SECONDS
            )
        )
    )
    with container:
        yield f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"


@contextmanager
def kafka_container() -> Iterator[str]:
    """Run Kafka; yields its bootstrap servers."""
    # Chosen before the start, since the broker tells its clients the address at which they reach it.
    port = free_port()
    container = _on_loopback(KAFKA_IMAGE, 9092, port).waiting_for(
        # The broker opens its listeners last.
        ExecWaitStrategy(["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9092"]).with_startup_timeout(
            _STARTUP_SECONDS
        )
    )
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        # The broker asks itself too, about transactions, and can't reach the address of its clients.
        "KAFKA_LISTENERS": "HOST://:9092,INTERNAL://localhost:19092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"HOST://127.0.0.1:{port},INTERNAL://localhost:19092",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "HOST:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "INTERNAL",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "5",
        "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "5",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    }
    for name, value in settings.items():
        container.with_env(name, value)
    with container:
        yield f"127.0.0.1:{port}"
