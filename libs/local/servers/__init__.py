"""A real PostgreSQL and a real Kafka on this machine, without Docker, as root or not."""

from local.servers.artifacts import kafka_jars
from local.servers.errors import LocalServerError, MissingPartError
from local.servers.kafka import TOOLS, Kafka, kafka_tool
from local.servers.ports import free_port
from local.servers.postgres import Postgres, postgres_tool
from local.servers.server import LocalServer, dying_with_parent

__all__ = [
    "TOOLS",
    "Kafka",
    "LocalServer",
    "LocalServerError",
    "MissingPartError",
    "Postgres",
    "dying_with_parent",
    "free_port",
    "kafka_jars",
    "kafka_tool",
    "postgres_tool",
]
