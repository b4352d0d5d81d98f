"""A real PostgreSQL and a real Kafka on this machine, without Docker, as root or not."""

from localservers.artifacts import kafka_jars
from localservers.errors import (
    ChecksumError,
    DownloadError,
    LocalServerError,
    MissingPartError,
    StartError,
)
from localservers.kafka import TOOLS, Kafka, kafka_tool
from localservers.ports import free_port
from localservers.postgres import Postgres, postgres_tool
from localservers.security import KafkaSecurity, Tls
from localservers.server import LocalServer, dying_with_parent

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
