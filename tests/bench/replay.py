"""Events a second, from the topic's beginning to committed rows of a read model."""

import time

import asyncpg
from aiokafka import AIOKafkaConsumer
from measuring import Measurement, rate_until

from harness.installation import Installation
from readmodels import READ_MODELS


async def measure(installation: Installation, connection: asyncpg.Connection) -> list[Measurement]:
    """Let each read model's projector work through the topic; the baseline only fetches the records."""
    total = int(await connection.fetchval("SELECT count(*) FROM order_events"))
    baseline = await _fetch_rate(installation, total)
    measurements = []
    for name in READ_MODELS:
        service = installation.service("projector", name, batch_records="2000")
        await service.ready()

        async def applied(read_model: str = name) -> int:
            query = "SELECT coalesce(sum(next_offset), 0) FROM projections.checkpoints WHERE read_model = $1"
            return int(await connection.fetchval(query, read_model))

        rate = await rate_until(applied, total)
        await service.stop()
        measurements.append(Measurement(f"replay into {name}", total, rate, "bare fetch", baseline))
    return measurements


async def _fetch_rate(installation: Installation, total: int) -> float:
    consumer = AIOKafkaConsumer(
        "orders.events", bootstrap_servers=installation.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        count, started = 0, time.perf_counter()
        while count < total:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                count += len(records)
        return total / (time.perf_counter() - started)
    finally:
        await consumer.stop()
