"""How service processes start, say how they are, stop, and come back."""

import asyncio
import json
from uuid import uuid4

import asyncpg
import pytest

from commands import ORDERS
from harness.groups import expel
from harness.installation import Installation
from harness.plain_client import PlainClient, command, headers_of
from harness.waiting import eventually
from local.servers import free_port

CREATE = {"cashier_id": "anna", "currency": "EUR"}
ITEM = {"product_id": "p", "name": "Tea", "quantity": "1", "unit_price": "1.00"}


async def test_a_service_tells_how_it_is_and_stops_when_asked(
    installation: Installation, upstream: PlainClient
) -> None:
    """Health, readiness and metrics answer; SIGTERM ends each service with status 0; logs are JSON."""
    services = [
        installation.service("command_service", afresh=True),
        installation.service("outbox_relay", afresh=True),
        installation.service("projector", "order_summary", afresh=True),
    ]
    await asyncio.gather(*(service.ready() for service in services))
    await upstream.send([command("CreateOrder", str(uuid4()), CREATE)])
    await upstream.read("orders.outcomes", 1)
    for service, metric in zip(
        services,
        (
            'tillstream_commands_total{result="accepted"} 1.0',
            "tillstream_outbox_published_total 2.0",
            "tillstream_records_handled_total",
        ),
        strict=True,
    ):
        assert service.get("/healthz") == (200, '{"alive":true}')

        async def counted(service: object = service, metric: str = metric) -> bool:
            return metric in service.get("/metrics")[1]  # type: ignore[attr-defined]

        await eventually(counted)
        assert await service.stop() == 0, service.log
        lines = [json.loads(line) for line in service.log.splitlines()]
        assert all(line["service"].startswith(service.name) for line in lines)


async def test_a_killed_command_service_leaves_no_gap_and_no_double(
    installation: Installation, upstream: PlainClient, admin: asyncpg.Connection
) -> None:
    """Killed again and again in mid-load, a service still gives one outcome a command, versions 1 to n."""
    relay = installation.service("outbox_relay")
    await relay.ready()
    orders = [str(uuid4()) for _ in range(40)]
    sent = [command("CreateOrder", order_id, CREATE) for order_id in orders]
    sent += [command("AddItem", order_id, ITEM) for _ in range(50) for order_id in orders]

    async def outcomes() -> int:
        return int(await admin.fetchval("SELECT count(*) FROM command_outcomes"))

    loading = asyncio.create_task(upstream.send(sent))
    # Small batches and a kill after each few of them: most kills fall into the middle of one.
    for share in (1, 2, 3):
        service = installation.service("command_service", batch_records="50")

        async def reached(share: int = share) -> bool:
            return await outcomes() >= len(sent) * share // 4

        await eventually(reached)
        service.kill()
        # Kafka would wait for the killed one's session to time out.
        group = ORDERS.topics(installation.prefix).group("command_service")
        await expel(installation.bootstrap_servers, group)
    await loading
    installation.service("command_service")

    async def all_there() -> bool:
        return await outcomes() == len(sent)

    await eventually(all_there)
    versions = await admin.fetch(
        "SELECT count(*) AS events, min(version), max(version) FROM order_events GROUP BY aggregate_id"
    )
    assert [tuple(row) for row in versions] == [(51, 1, 51)] * len(orders)
    events = await upstream.read("orders.events", len(sent))
    last: dict[bytes, int] = {}
    for event in events:
        version = int(headers_of(event)["ce_version"])
        assert version <= last.get(event.key, 0) + 1, "a first occurrence out of version order"
        last[event.key] = max(last.get(event.key, 0), version)
    assert set(last.values()) == {51}


@pytest.mark.parametrize(
    "service", [("command_service",), ("outbox_relay",), ("projector", "order_summary")], ids=" ".join
)
async def test_without_its_database_a_service_ends_past_the_budget(
    installation: Installation, upstream: PlainClient, service: tuple[str, ...]
) -> None:
    """A database that stays away ends a service non-zero, for its supervisor to see."""
    await upstream.send([command("CreateOrder", str(uuid4()), CREATE)])
    nowhere = f"postgresql://tillstream_nobody@127.0.0.1:{free_port()}/nowhere"
    lost = installation.service(*service, database_url=nowhere, retry_budget="1")
    assert await lost.ended() == 70, lost.log


async def test_a_command_waits_for_a_service_that_works(
    installation: Installation, upstream: PlainClient
) -> None:
    """A command that a service could not store is handled by the next one: nothing was committed for it."""
    await upstream.send([command("CreateOrder", str(uuid4()), CREATE)])
    nowhere = f"postgresql://tillstream_nobody@127.0.0.1:{free_port()}/nowhere"
    lost = installation.service("command_service", database_url=nowhere, retry_budget="1")
    assert await lost.ended() == 70
    services = [installation.service("command_service"), installation.service("outbox_relay")]
    await asyncio.gather(*(service.ready() for service in services))
    assert len(await upstream.read("orders.outcomes", 1)) == 1
