"""At most one effect, one distinct outcome: whatever is sent again, and wherever."""

import asyncio
from uuid import uuid4

import asyncpg

from harness.installation import Installation
from harness.plain_client import PlainClient, command, headers_of

TIMES = 1_000


async def test_a_command_sent_a_thousand_times_takes_effect_once(
    installation: Installation, upstream: PlainClient, admin: asyncpg.Connection
) -> None:
    """One command on all partitions, held by two services: one effect, one outcome, identical answers."""
    services = [installation.service("command_service") for _ in range(2)]
    relay = installation.service("outbox_relay")
    await asyncio.gather(*(service.ready() for service in [*services, relay]))
    order_id, create_id, add_id = str(uuid4()), str(uuid4()), str(uuid4())
    create = command("CreateOrder", order_id, {"cashier_id": "a", "currency": "EUR"}, command_id=create_id)
    item = {"product_id": "p", "name": "Tea", "quantity": "1", "unit_price": "1.00"}
    add = command("AddItem", order_id, item, command_id=add_id)
    await upstream.send([create])
    await upstream.read("orders.outcomes", 1)
    await upstream.send({**add, "partition": number % 12} for number in range(TIMES))

    answers = await upstream.read("orders.outcomes", 1 + TIMES)
    answers = [record for record in answers if headers_of(record)["ce_causationid"] == add_id]
    assert len(answers) == TIMES
    assert len({(record.key, record.value, record.headers) for record in answers}) == 1
    events = await upstream.read("orders.events", 2)
    assert [headers_of(event)["ce_version"] for event in events] == ["1", "2"]
    assert await admin.fetchval("SELECT count(*) FROM order_events") == 2
    assert await admin.fetchval("SELECT count(*) FROM command_outcomes") == 2
    handled = [
        [line for line in service.get("/metrics")[1].splitlines() if line.startswith("tillstream_commands")]
        for service in services
    ]
    assert all(handled), f"both services should have held copies: {handled}"
