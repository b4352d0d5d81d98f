"""A real PostgreSQL and a real Kafka on this machine, without Docker, as root or not."""

from local.servers.artifacts import kafka_jars
from local.servers.errors import (
    ChecksumError,
    DownloadError,
    LocalServerError,
    MissingPartError,
    StartError,
)
from local.servers.kafka import TOOLS, Kafka, kafka_tool
from local.servers.ports import free_port
from local.servers.postgres import Postgres, postgres_tool
from local.servers.security import KafkaSecurity, Tls
from local.servers.server import LocalServer, dying_with_parent

__all__ = [
    "TOOLS",
    "ChecksumError",
    "DownloadError",
    "Kafka",
    "KafkaSecurity",
    "LocalServer",
    "LocalServerError",
    "MissingPartError",
    "Postgres",
    "StartError",
    "Tls",
    "dying_with_parent",
    "free_port",
    "kafka_jars",
    "kafka_tool",
    "postgres_tool",
]
