"""How long after it was recorded an event reaches whoever follows the events over HTTP."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaConsumer
from httpx_sse import aconnect_sse
from measuring import Latency, latency
from questions import query_service
from stored_orders import TENANT

from harness.installation import Installation
from harness.plain_client import command, headers_of, plain_client
from harness.waiting import eventually

TIMES = 200
PAUSE = 0.02
SILENCE = 60.0
_ITEM = {"product_id": "p-1", "name": "Tea", "quantity": "2", "unit_price": "3.50"}
_ORDER = {"cashier_id": "anna", "currency": "EUR"}

Seen = list[float]
"""Milliseconds from the recorded time of each event; it lies a little before the commit."""


async def measure(installation: Installation) -> list[Latency]:
    """Send commands one by one, and compare when their events arrive over HTTP and with a plain consumer."""
    services = [installation.service(name) for name in ("command_service", "outbox_relay")]
    services.append(query_service(installation))
    await asyncio.gather(*(service.ready() for service in services))
    over_http: Seen = []
    by_kafka: Seen = []
    following = [
        asyncio.create_task(_follow(services[-1].port, over_http)),
        asyncio.create_task(_consume(installation, by_kafka)),
    ]
    async with plain_client(installation.bootstrap_servers, installation.prefix) as client:

        async def both_follow() -> bool:
            await client.send([command("CreateOrder", str(uuid4()), _ORDER, tenant=TENANT)])
            await asyncio.sleep(PAUSE)
            return bool(over_http and by_kafka)

        await eventually(both_follow)
        order_id = str(uuid4())
        await client.send([command("CreateOrder", order_id, _ORDER, tenant=TENANT)])
        for _ in range(TIMES):
            await client.send([command("AddItem", order_id, _ITEM, tenant=TENANT)])
            await asyncio.sleep(PAUSE)
        await eventually(_has(over_http, TIMES))
        await eventually(_has(by_kafka, TIMES))
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    for service in services:
        await service.stop()
    return [
        latency("an event, recorded to live", over_http[-TIMES:], "a plain Kafka consumer", by_kafka[-TIMES:])
    ]


def _has(seen: Seen, count: int) -> Callable[[], Awaitable[bool]]:
    async def enough() -> bool:
        return len(seen) > count

    return enough


def _since(recorded_time: str) -> float:
    return (time.time() - datetime.fromisoformat(recorded_time).timestamp()) * 1000


async def _follow(port: int, seen: Seen) -> None:
    async with (
        httpx.AsyncClient(timeout=SILENCE) as client,
        aconnect_sse(client, "GET", f"http://127.0.0.1:{port}/v1/events") as stream,
    ):
        async for event in stream.aiter_sse():
            if event.data:
                seen.append(_since(json.loads(event.data)["recordedtime"]))


async def _consume(installation: Installation, seen: Seen) -> None:
    consumer = AIOKafkaConsumer(
        f"{installation.prefix}orders.events", bootstrap_servers=installation.bootstrap_servers
    )
    await consumer.start()
    try:
        async for record in consumer:
            seen.append(_since(headers_of(record)["ce_recordedtime"]))
    finally:
        await consumer.stop()
