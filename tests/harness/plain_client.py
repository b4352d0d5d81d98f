"""An upstream system: aiokafka, JSON, and the messages table of the README. It uses none of our code."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord


def headers_of(record: ConsumerRecord) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


def command(
    kind: str,
    order_id: str,
    data: dict[str, Any] | None = None,
    *,
    command_id: str | None = None,
    tenant: str = "store-1",
    actor: str = "anna",
    time: str = "2026-01-31T12:00:00Z",
    structured: bool = False,
    context: str = "orders",
    **attributes: str,
) -> dict[str, Any]:
    """Give the arguments of `producer.send` for one command; `context` begins its type."""
    envelope = {
        "specversion": "1.0",
        "id": command_id or str(uuid4()),
        "source": "/till/7",
        "type": f"{context}.{kind}",
        "subject": order_id,
        "time": time,
        "tenantid": tenant,
        "actor": actor,
        **attributes,
    }
    if structured:
        return {
            "key": order_id.encode(),
            "value": json.dumps({**envelope, "data": data or {}}).encode(),
            "headers": [("content-type", b"application/cloudevents+json")],
        }
    return {
        "key": order_id.encode(),
        "value": json.dumps(data or {}).encode(),
        "headers": [
            ("content-type", b"application/json"),
            *((f"ce_{name}", value.encode()) for name, value in envelope.items()),
        ],
    }


class PlainClient:
    """Sends commands and reads whole topics of one installation."""

    def __init__(self, options: dict[str, Any], prefix: str, producer: AIOKafkaProducer) -> None:
        self._options = options
        self._prefix = prefix
        self._producer = producer

    async def send(self, commands: Iterable[dict[str, Any]], topic: str = "orders.commands") -> None:
        """Send to the topic and return when Kafka has acknowledged all."""
        topic = f"{self._prefix}{topic}"
        futures = [await self._producer.send(topic, **each) for each in commands]
        for future in futures:
            await future

    async def read(self, topic: str, count: int, *, deadline: float = 60.0) -> list[ConsumerRecord]:
        """Give the topic's records from its beginning, once there are at least `count` of them."""
        consumer = AIOKafkaConsumer(f"{self._prefix}{topic}", auto_offset_reset="earliest", **self._options)
        await consumer.start()
        records: list[ConsumerRecord] = []
        try:
            waited = 0.0
            while len(records) < count:
                found = await consumer.getmany(timeout_ms=200)
                for batch in found.values():
                    records.extend(batch)
                waited = 0 if found else waited + 0.2
                assert waited < deadline, f"{len(records)} of {count} records on {topic}"
            # What should not be there must get a chance to come.
            for batch in (await consumer.getmany(timeout_ms=300)).values():
                records.extend(batch)
        finally:
            await consumer.stop()
        return records


@asynccontextmanager
async def plain_client(bootstrap_servers: str, prefix: str, **security: Any) -> AsyncIterator[PlainClient]:
    """Give a connected client; `security` is aiokafka's own options."""
    options = {"bootstrap_servers": bootstrap_servers, **security}
    producer = AIOKafkaProducer(acks="all", **options)
    await producer.start()
    try:
        yield PlainClient(options, prefix, producer)
    finally:
        await producer.stop()
