"""A log in the store with read models made of it, and what `till verify` says of them."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from typer.testing import CliRunner

from commands import ORDERS
from integration.projector.order_log import CONFIRM, OrderLog, create, item, order_key, random_log
from integration.till.read_models_made import make_read_models
from messaging import KafkaConnection, Topics, ensure_topics
from till.app import app

COUNT = 12
ORDER = order_key("the order that is looked at")


@dataclass
class Verified:
    """A log with its read models, and what `till verify` says of them."""

    database: Any
    bootstrap_servers: str
    topics: Topics
    log: OrderLog

    def sql(self, statement: str, *arguments: Any) -> list[Any]:
        """Run a statement as the superuser; give its rows."""

        async def run() -> list[Any]:
            conn = await asyncpg.connect(self.database.dsn())
            try:
                return list(await conn.fetch(statement, *arguments))
            finally:
                await conn.close()

        return asyncio.run(run())

    def verify(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Give the exit status and the JSON answer."""
        result = CliRunner().invoke(app, ["verify", "--patience", "0", *arguments, "-o", "json"])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, json.loads(result.stdout) if result.stdout else {}

    def send(self, records: Iterable[ConsumerRecord]) -> None:
        """Make the topic and put records on it."""

        async def run() -> None:
            await ensure_topics(KafkaConnection(self.bootstrap_servers), self.topics, partitions=3)
            async with AIOKafkaProducer(bootstrap_servers=self.bootstrap_servers) as producer:
                for each in records:
                    await producer.send(
                        self.topics.events, each.value, each.key, each.partition, headers=list(each.headers)
                    )

        asyncio.run(run())

    def reached(self, name: str) -> None:
        """Have the checkpoints of a read model stand past the end of every partition."""
        self.sql(
            "INSERT INTO projections.checkpoints"
            " (read_model, generation, topic, partition, topic_id, next_offset, epoch, refolding)"
            " SELECT $1, 1, $2, n, $3, 1000000, 1, false FROM generate_series(0, 2) AS n",
            name,
            self.topics.events,
            UUID(int=1),
        )

    def make_read_models(self) -> None:
        """Make all read models of the whole log."""
        asyncio.run(make_read_models(self.database.dsn("projector"), self.log))

    def store(self) -> None:
        """Append to the store what the log has more."""

        async def run() -> None:
            conn = await asyncpg.connect(self.database.dsn())
            try:
                await self.log.store(conn)
            finally:
                await conn.close()

        asyncio.run(run())


def stored_log(
    database: Any, kafka_server: Any, topic_prefix: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Verified:
    """Give a log in the store, without a topic or read models; till is set to look at it."""
    monkeypatch.chdir(folder)
    for name, value in {
        "DATABASE_URL": database.dsn("query"),
        "OPERATOR_DATABASE_URL": database.dsn("operator"),
        "KAFKA_BOOTSTRAP_SERVERS": kafka_server.bootstrap_servers,
        "TOPIC_PREFIX": topic_prefix,
    }.items():
        monkeypatch.setenv(f"TILLSTREAM_{name}", value)
    log = random_log(COUNT)
    log.do(ORDER, create(), item("10.00", "2"), item("1.50"), CONFIRM)
    stored = Verified(database, kafka_server.bootstrap_servers, ORDERS.topics(topic_prefix), log)
    stored.store()
    return stored
