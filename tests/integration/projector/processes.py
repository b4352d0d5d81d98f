"""Projector processes on a real Kafka, and Kafka's own tools beside them."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer

from commands import ORDERS
from harness.forked import ForkedProcess
from integration.projector.order_log import PARTITIONS, OrderLog
from messaging import KafkaConnection, Topics, ensure_topics

DEADLINE = 60.0


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition, at most a minute."""
    try:
        async with asyncio.timeout(DEADLINE):
            while not await condition():  # noqa: ASYNC110 - what is waited for happens in other processes
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not seen within {DEADLINE:.0f} s: {what}") from None


@dataclass
class Installation:
    """One topic of events with the projectors that read it."""

    kafka: Any
    database: Any
    prefix: str
    folder: Path

    @property
    def topics(self) -> Topics:
        return ORDERS.topics(self.prefix)

    def group(self, name: str) -> str:
        return self.topics.group(f"projector.{name}")

    async def make_topics(self) -> None:
        await ensure_topics(KafkaConnection(self.kafka.bootstrap_servers), self.topics, PARTITIONS)

    async def send(self, log: OrderLog, already: Sequence[int] = (0,) * PARTITIONS) -> list[int]:
        """Send each partition's records past those already sent; return how many each has now."""
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers) as producer:
            for partition, records in log.records.items():
                for record in records[already[partition.partition] :]:
                    await producer.send(
                        self.topics.events,
                        record.value,
                        record.key,
                        partition.partition,
                        headers=list(record.headers),
                    )
        return [len(records) for records in log.records.values()]

    @contextmanager
    def running(self, name: str, code: str | None = None) -> Iterator[ForkedProcess]:
        """Run a projector, or Python `code` in its stead; it is killed at the end if it still runs."""
        command = ["-m", "projector", name] if code is None else ["-c", code, name]
        environment = {
            **os.environ,
            "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "TILLSTREAM_DATABASE_URL": self.database.dsn("projector"),
            "TILLSTREAM_TOPIC_PREFIX": self.prefix,
            "TILLSTREAM_RETRY_BUDGET": "3",
            "TILLSTREAM_BATCH_RECORDS": "20",
        }
        process = ForkedProcess(command, environment=environment, errors=self.output(name))
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def output(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    async def stop(self, process: ForkedProcess) -> int:
        process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(process.wait, DEADLINE)

    async def tool(self, name: str, *arguments: str) -> str:
        """Run one of Kafka's own tools and return all it prints."""
        process = await asyncio.create_subprocess_exec(
            *self.kafka.tool(name, *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        printed, _ = await process.communicate()
        return printed.decode()

    async def reset(self, name: str, *scenario: str) -> str:
        """Reset a read model's group as an operator does."""
        group = ("--group", self.group(name), "--topic", self.topics.events)
        return await self.tool("consumer-groups", *group, "--reset-offsets", *scenario, "--execute")

    async def level(self, conn: asyncpg.Connection, name: str, ends: Sequence[int]) -> None:
        """Wait until a read model's checkpoints are at these offsets."""

        async def reached() -> bool:
            offsets = await checkpoints(conn, name)
            return offsets == list(ends)

        await until(reached, f"{name} at {ends}")


async def checkpoints(conn: asyncpg.Connection, name: str) -> list[int]:
    if await conn.fetchval("SELECT to_regclass('projections.checkpoints')") is None:
        return []
    found = await conn.fetch(
        "SELECT next_offset FROM projections.checkpoints"
        " WHERE read_model = $1 AND NOT refolding ORDER BY partition",
        name,
    )
    return [row["next_offset"] for row in found]
