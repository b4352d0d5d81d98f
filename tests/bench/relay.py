"""Messages a second, from outbox rows to acknowledged records."""

import time

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from measuring import Measurement, rate_until

from eventstore import decode_headers
from harness.installation import Installation

TOPIC = "bench"
PARTITIONS = 12


async def measure(installation: Installation, connection: asyncpg.Connection) -> list[Measurement]:
    """Empty the outbox that the commands filled; the baseline sends the same messages from memory."""
    rows = await connection.fetch("SELECT key, headers, value FROM outbox ORDER BY id")
    total = len(rows)
    service = installation.service("outbox_relay")

    async def sent() -> int:
        return total - int(await connection.fetchval("SELECT count(*) FROM outbox"))

    rate = await rate_until(sent, total)
    await service.stop()
    return [
        Measurement(
            "outbox to acknowledged", total, rate, "aiokafka's send()", await _send_rate(installation, rows)
        )
    ]


async def _send_rate(installation: Installation, rows: list[asyncpg.Record]) -> float:
    admin = AIOKafkaAdminClient(bootstrap_servers=installation.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    await admin.close()
    messages = [(row["key"], decode_headers(row["headers"]), row["value"]) for row in rows]
    producer = AIOKafkaProducer(
        bootstrap_servers=installation.bootstrap_servers, enable_idempotence=True, max_batch_size=256 * 1024
    )
    await producer.start()
    try:
        await producer.partitions_for(TOPIC)
        started = time.perf_counter()
        futures = [
            await producer.send(TOPIC, key=key, headers=headers, value=value)
            for key, headers, value in messages
        ]
        for future in futures:
            await future
        return len(messages) / (time.perf_counter() - started)
    finally:
        await producer.stop()
