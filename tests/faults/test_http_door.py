"""Fleets of tills before `POST /v1/commands`: more than it takes at a time, and a broker that restarts."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from commands import ORDERS
from harness.http_connection import HttpConnection
from harness.installation import Installation
from harness.processes import ServiceProcess
from harness.waiting import eventually
from local.servers import Kafka, free_port
from messaging import KafkaConnection, ensure_topics

ORDER = {"cashier_id": "anna", "currency": "EUR"}
ITEM = {"product_id": "p-1", "name": "Tea", "quantity": "2", "unit_price": "1.50"}
IN_HAND = 1_200
DEADLINE = 240.0


class Till:
    """Sends an order's commands one after another, each under its id until it is accepted."""

    def __init__(self, port: int, items: int) -> None:
        self.order_id = str(uuid4())
        self.answers: Counter[int] = Counter()
        self._port = port
        self._items = items

    async def sell(self) -> None:
        connection = await HttpConnection.open(self._port)
        for kind, data in [("CreateOrder", ORDER), *[("AddItem", ITEM)] * self._items]:
            body = {"command_id": str(uuid4()), "order_id": self.order_id, "type": kind, "data": data}
            status = 0
            while status != 200:
                status, told = await connection.post("/v1/commands?timeout=30", json.dumps(body).encode())
                assert status in {200, 202, 429, 503}, told
                self.answers[status] += 1
                if status in {429, 503}:
                    # As Retry-After says.
                    await asyncio.sleep(1)
        connection.close()


async def sold(tills: Sequence[Till], conn: asyncpg.Connection, commands: int) -> Counter[int]:
    """Wait for all tills, see that each order has each command once, and give what they were answered."""
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*(till.sell() for till in tills))
    rows = await conn.fetch(
        "SELECT aggregate_id::text, count(*), max(version) FROM order_events"
        " WHERE aggregate_id = ANY($1) GROUP BY 1",
        [till.order_id for till in tills],
    )
    assert {tuple(row) for row in rows} == {(till.order_id, commands, commands) for till in tills}
    return sum((till.answers for till in tills), Counter())


async def supervise(services: Sequence[ServiceProcess]) -> None:
    """Start each again that has ended, as one does for whom Kafka was away for too long."""
    while True:
        for service in services:
            if service.process.poll() is not None:
                service.start()
        await asyncio.sleep(0.5)


@pytest.mark.long
async def test_a_fleet_is_served_through_a_crowd_and_a_broker_restart(database: Any, tmp_path: Path) -> None:
    """Every request is answered, and every command takes effect once: 429 past the bound, no 5xx in a crowd.

    Of 1,000 tills at once some are told to come back, as the bound of one tenant is lower. While the broker
    is away commands wait, and what has waited for too long is a 503.
    """
    conn = await asyncpg.connect(database.dsn())
    with ExitStack() as stack:
        broker = Kafka(tmp_path / "kafka", free_port())
        stack.callback(broker.stop)
        broker.start()
        await ensure_topics(KafkaConnection(broker.bootstrap_servers), ORDERS.topics())
        town = Installation(broker.bootstrap_servers, "", database.dsn, tmp_path, stack)
        others = [town.service(name) for name in ("command_service", "outbox_relay")]
        for service in others:
            await service.ready()
        door = town.service(
            "query_service",
            development_identity="store-1:anna:manager",
            requests_per_minute="1000000",
            commands_in_hand=str(IN_HAND),
        )
        await door.ready()

        async def follows() -> bool:
            return not any(json.loads((await asyncio.to_thread(door.get, "/readyz"))[1])["states"].values())

        await eventually(follows)
        crowd = [Till(door.port, items=1) for _ in range(1_000)]
        answers = await sold(crowd, conn, 2)
        assert answers[200] == 2 * len(crowd)
        assert answers[429]
        assert not answers[503]

        fleet = [Till(door.port, items=3) for _ in range(400)]
        selling = asyncio.create_task(sold(fleet, conn, 4))
        supervising = asyncio.create_task(supervise(others))

        async def under_way() -> bool:
            return sum(till.answers[200] for till in fleet) > len(fleet)

        await eventually(under_way)
        await asyncio.to_thread(broker.stop)
        await asyncio.to_thread(broker.start)
        answers = await selling
        assert answers[200] == 4 * len(fleet)
        supervising.cancel()
    await conn.close()
