"""A topic of dead letters, as tests of `till dead-letters` fill it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from typer.testing import CliRunner, Result

from commands import ORDERS
from harness.plain_client import command
from messaging import KafkaConnection, ensure_topics
from till.app import app

Headers = Sequence[tuple[str, bytes | None]]
# Of the first partition: two hours old, one hour old, new.

HOUR_MS = 3_600_000
NOW_MS = 1_700_000_000_000


class Letters:
    """The topics of commands and of dead letters, and the verbs on them."""

    def __init__(self, bootstrap_servers: str, prefix: str, database: Any) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.topics = ORDERS.topics(prefix)
        self.database = database
        asyncio.run(ensure_topics(KafkaConnection(bootstrap_servers), self.topics, partitions=3))

    def put(
        self,
        offset: int,
        *,
        key: bytes | None = None,
        value: bytes | None = b"junk",
        headers: Headers = (),
        reason: str = "tenantid: is required",
        topic: str | None = None,
        at: int = NOW_MS,
        times: int = 1,
    ) -> str:
        """Put a dead letter as the command service makes them, from partition 1; give its id."""
        source = topic or self.topics.commands
        id_ = str(uuid5(NAMESPACE_URL, f"{source}/1/{offset}"))
        ours = [
            ("deadletter_id", id_.encode()),
            ("deadletter_topic", source.encode()),
            ("deadletter_partition", b"1"),
            ("deadletter_offset", str(offset).encode()),
            ("deadletter_reason", reason.encode()),
        ]
        for _ in range(times):
            self.send(self.topics.dead_letters, key, value, [*headers, *ours], at=at, partition=offset % 3)
        return id_

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, *, at: int, partition: int
    ) -> None:
        async def send() -> None:
            producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap_servers)
            await producer.start()
            batch = producer.create_batch()
            batch.append(key=key, value=value, headers=headers, timestamp=at)
            batch.close()
            await (await producer.send_batch(batch, topic, partition=partition))
            await producer.stop()

        asyncio.run(send())

    def answer(self, sent: dict[str, Any], code: str | None) -> None:
        """Keep an outcome of a command: accepted, or the code it was refused with."""
        named = dict(sent["headers"])

        async def answer() -> None:
            conn = await asyncpg.connect(self.database.dsn("command_service"))
            await conn.execute(
                "INSERT INTO command_outcomes"
                " (tenant_id, command_id, command_type, actor, fingerprint, code, headers, value)"
                " VALUES ($1, $2::text::uuid, 'VoidOrder', 'anna', '', $3, '[]', '')",
                named["ce_tenantid"].decode(),
                named["ce_id"].decode(),
                code,
            )
            await conn.close()

        asyncio.run(answer())

    def hold(self, source: str | None) -> None:
        """Hold the commands' partition 1 back, or a source in it, as the command service does."""

        async def hold() -> None:
            conn = await asyncpg.connect(self.database.dsn("command_service"))
            await conn.execute(
                "INSERT INTO operations.holds (topic, partition, source, first_offset, reason)"
                " VALUES ($1, 1, $2, 0, 'too many')",
                self.topics.commands,
                source,
            )
            await conn.close()

        asyncio.run(hold())

    def commands(self) -> list[ConsumerRecord[bytes, bytes]]:
        """Give what is on the commands' partition 1, the one that all letters came from."""

        async def read() -> list[ConsumerRecord[bytes, bytes]]:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.bootstrap_servers, auto_offset_reset="earliest"
            )
            await consumer.start()
            partition = TopicPartition(self.topics.commands, 1)
            end = (await consumer.end_offsets([partition]))[partition]
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            records: list[ConsumerRecord[bytes, bytes]] = []
            while len(records) < end:
                records += (await consumer.getmany(timeout_ms=200)).get(partition, [])
            await consumer.stop()
            return records

        return asyncio.run(read())

    def till(self, *arguments: str) -> Result:
        """Run a verb that acts or tells a person; an error is raised."""
        result = CliRunner().invoke(app, ["dead-letters", *arguments], env={"COLUMNS": "400"})
        if result.exception is not None:
            raise result.exception
        return result

    def recorded(self) -> list[tuple[Any, ...]]:
        """Give action, decision and outcome of all that was recorded, in order."""

        async def read() -> list[tuple[Any, ...]]:
            conn = await asyncpg.connect(self.database.dsn())
            rows = await conn.fetch(
                "SELECT action, arguments->>'dead_letter_id', decision, d.note, outcome"
                " FROM operations.actions LEFT JOIN operations.results ON action_id = id"
                " LEFT JOIN operations.dead_letter_decisions AS d ON d.action_id = id ORDER BY id"
            )
            await conn.close()
            return [tuple(row) for row in rows]

        return asyncio.run(read())


def sound() -> dict[str, Any]:
    """Give what a letter holds that this build can read, as an older one may have left it."""
    sent = command("VoidOrder", str(uuid4()))
    return {name: sent[name] for name in ("key", "value", "headers")}


def listed(till: Callable[..., Any], *arguments: str) -> list[int]:
    """Give the offsets of the letters that a list has, in its order."""
    return [row["offset"] for row in till("dead-letters", "list", *arguments)]
