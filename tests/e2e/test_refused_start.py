"""A service that writes does not start on a database that is older than the topic of events."""

import asyncio
import json
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from commands import ORDERS
from harness.installation import Installation
from harness.plain_client import PlainClient, command

CREATE = {"cashier_id": "anna", "currency": "EUR"}


@pytest.mark.parametrize("changed", [{b"2": b"3"}, {}], ids=["unknown version", "another id"])
async def test_a_service_refuses_a_database_behind_the_topic(
    installation: Installation, upstream: PlainClient, admin: asyncpg.Connection, changed: dict[bytes, bytes]
) -> None:
    """Where the topic has an event that the log lacks, relay and command service end, with advice."""
    services = [installation.service("command_service"), installation.service("outbox_relay")]
    await asyncio.gather(*(service.ready() for service in services))
    order_id = str(uuid4())
    item = {"product_id": "p", "name": "Tea", "quantity": "1", "unit_price": "1.00"}
    await upstream.send([command("CreateOrder", order_id, CREATE), command("AddItem", order_id, item)])
    last = (await upstream.read("orders.events", 2))[-1]
    # Started anew over what they wrote themselves, they work.
    for service in services:
        assert await service.stop() == 0
    services = [installation.service("command_service"), installation.service("outbox_relay")]
    await asyncio.gather(*(service.ready() for service in services))
    for service in services:
        assert await service.stop() == 0

    names = {"ce_version": changed, "ce_id": {} if changed else {last.headers[1][1]: str(uuid4()).encode()}}
    headers = [(name, names.get(name, {}).get(value, value)) for name, value in last.headers]
    async with AIOKafkaProducer(bootstrap_servers=installation.bootstrap_servers) as producer:
        topic = ORDERS.topics(installation.prefix).events
        await producer.send_and_wait(topic, last.value, last.key, last.partition, headers=headers)
    before = await admin.fetchval("SELECT count(*) FROM order_events")
    await upstream.send([command("AddItem", order_id, item)])
    for name in ("command_service", "outbox_relay"):
        service = installation.service(name)
        assert await service.ended() == 70, service.log
        lines = map(json.loads, service.log.splitlines())
        (refusal,) = [line for line in lines if line["event"] == "service.refused"]
        assert order_id in refusal["reason"]
        assert "till recover" in refusal["reason"]
    assert await admin.fetchval("SELECT count(*) FROM order_events") == before


async def test_a_refusal_alone_keeps_the_command_service_from_starting(
    installation: Installation, upstream: PlainClient
) -> None:
    """An outcome that the database lacks, of a command that led to no event, ends the command service."""
    services = [installation.service("command_service"), installation.service("outbox_relay")]
    await asyncio.gather(*(service.ready() for service in services))
    await upstream.send([command("ConfirmOrder", str(uuid4()), {})])
    (refusal,) = await upstream.read("orders.outcomes", 1)
    for service in services:
        assert await service.stop() == 0
    command_id = str(uuid4())
    headers = [(n, command_id.encode() if n == "ce_causationid" else value) for n, value in refusal.headers]
    async with AIOKafkaProducer(bootstrap_servers=installation.bootstrap_servers) as producer:
        topic = ORDERS.topics(installation.prefix).outcomes
        await producer.send_and_wait(topic, refusal.value, refusal.key, headers=headers)
    service = installation.service("command_service")
    assert await service.ended() == 70, service.log
    (line,) = [
        each for each in map(json.loads, service.log.splitlines()) if each["event"] == "service.refused"
    ]
    assert command_id in line["reason"]
