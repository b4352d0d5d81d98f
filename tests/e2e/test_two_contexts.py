"""Tallies, the tests' own second aggregate, beside orders: one database, one Kafka, the same services."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient

from commands import ORDERS
from eventstore import StreamKey
from harness.installation import Installation
from harness.plain_client import PlainClient, command, headers_of
from harness.processes import ServiceProcess
from harness.tallies import TALLIES
from harness.waiting import eventually
from messaging import KafkaConnection, ensure_topics
from operations.recover import Work, recover, republish

THROUGH = (str(Path(__file__).parent / "tally_services.py"),)
SERVICES = [
    ("command_service",),
    ("command_service", "tallies"),
    ("outbox_relay",),
    ("projector", "order_summary"),
]
TENANT = "store-1"
CREATE = {"cashier_id": "anna", "currency": "EUR"}
ITEM = {"product_id": "p", "name": "Tea", "quantity": "1", "unit_price": "1.00"}


def start(installation: Installation) -> list[ServiceProcess]:
    return [installation.service(*service, through=THROUGH) for service in SERVICES]


def tally(kind: str, tally_id: str, data: dict[str, Any] | None = None, **attributes: Any) -> dict[str, Any]:
    return command(kind, tally_id, data, context="tallies", **attributes)


def told(records: Sequence[ConsumerRecord], subject: str) -> list[tuple[str, str | None]]:
    """Give type and version of the records of one aggregate."""
    headers = [headers_of(record) for record in records]
    return [(each["ce_type"], each.get("ce_version")) for each in headers if each["ce_subject"] == subject]


@pytest.fixture
async def services(installation: Installation, admin: asyncpg.Connection) -> list[ServiceProcess]:
    """Give the services of both contexts, ready, over a database with the tables of both."""
    await admin.execute("SELECT make_event_tables('tally')")
    await ensure_topics(KafkaConnection(installation.bootstrap_servers), TALLIES.topics(installation.prefix))
    started = start(installation)
    await asyncio.gather(*(service.ready() for service in started))
    return started


async def test_two_contexts_share_services_and_no_streams(
    installation: Installation,
    upstream: PlainClient,
    admin: asyncpg.Connection,
    services: list[ServiceProcess],
) -> None:
    """With one tenant and one id in both, each has its own versions, topics, outcomes and snapshots."""
    both, only_tally, used = str(uuid4()), str(uuid4()), str(uuid4())
    await upstream.send(
        [command("CreateOrder", both, CREATE, command_id=used), command("AddItem", both, ITEM)]
    )
    await upstream.read("orders.outcomes", 2)
    adds = [tally("Add", each, {"amount": n}) for n in range(1, 13) for each in (both, only_tally)]
    refused = [tally("Add", both, {"amount": 0}), tally("Add", both, {"amount": 1}, command_id=used)]
    await upstream.send([*adds, *refused], "tallies.commands")
    # The other way round: a tally is no order.
    await upstream.send([command("AddItem", only_tally, ITEM), command("Add", both, {"amount": 1})])

    events, answers = await upstream.read("tallies.events", 24), await upstream.read("tallies.outcomes", 26)
    for each in (both, only_tally):
        assert told(events, each) == [("tallies.Added", str(n)) for n in range(1, 13)]
    assert [json.loads(event.value) for event in events if event.key == both.encode()] == [
        {"amount": n} for n in range(1, 13)
    ]
    codes = {headers_of(answer)["ce_causationid"]: json.loads(answer.value).get("code") for answer in answers}
    assert sorted(code for code in codes.values() if code) == ["amount_out_of_range", "command_id_reused"]
    assert codes[used] == "command_id_reused"
    answers = await upstream.read("orders.outcomes", 4)
    codes = {headers_of(answer)["ce_subject"]: json.loads(answer.value).get("code") for answer in answers}
    assert codes == {both: "malformed", only_tally: "order_not_found"}
    created = [("orders.OrderCreated", "1"), ("orders.ItemAdded", "2")]
    assert told(await upstream.read("orders.events", 2), both) == created

    key = StreamKey(TENANT, UUID(both))
    assert (await TALLIES.store.load(admin, key)).state.total == sum(range(1, 13))
    assert (await ORDERS.store.load(admin, key)).version == 2
    snapshots = await admin.fetch("SELECT aggregate_id FROM tally_snapshots WHERE version >= 10")
    assert {row["aggregate_id"] for row in snapshots} == {UUID(both), UUID(only_tally)}
    assert await admin.fetchval("SELECT count(*) FROM order_snapshots") == 0
    of_types = await admin.fetch("SELECT aggregate_type, count(*) FROM command_outcomes GROUP BY 1")
    assert dict(map(tuple, of_types)) == {"order": 4, "tally": 25}
    # The orders' read model and audit trail know nothing of tallies.
    await eventually(lambda: _projected(admin, both))
    trail = await admin.fetch("SELECT order_id::text, code FROM refused_commands")
    assert {tuple(row) for row in trail} == {(both, "malformed"), (only_tally, "order_not_found")}

    # Both contexts' logs are compared with their topics, and the same commands answered again.
    for service in services:
        await service.stop()
    again = start(installation)
    await asyncio.gather(*(service.ready() for service in again))
    await upstream.send(adds[:1], "tallies.commands")
    await upstream.read("tallies.outcomes", 27)
    assert len(await upstream.read("tallies.events", 24)) == 24
    assert not any("refused" in service.log for service in again[2:])


async def _projected(admin: asyncpg.Connection, order_id: str) -> bool:
    rows = await admin.fetch("SELECT order_id::text, version FROM read_models.order_summary")
    return [tuple(row) for row in rows] == [(order_id, 2)]


async def test_a_context_is_recovered_by_itself(
    installation: Installation,
    upstream: PlainClient,
    admin: asyncpg.Connection,
    services: list[ServiceProcess],
) -> None:
    """A log without a context's newest events stops that context; what is taken back is its own."""
    tally_id, order_id = str(uuid4()), str(uuid4())
    await upstream.send([command("CreateOrder", order_id, CREATE)])
    adds = [tally("Add", tally_id, {"amount": n}) for n in (3, 0, 4)]
    await upstream.send(adds, "tallies.commands")
    sent = await upstream.read("tallies.events", 2)
    await upstream.read("tallies.outcomes", 3)
    await upstream.read("orders.outcomes", 1)
    for service in services:
        await service.stop()
    before = await _stored(admin)
    await admin.execute(
        "ALTER TABLE tally_events DISABLE TRIGGER ALL; DELETE FROM tally_events;"
        "ALTER TABLE tally_events ENABLE ALWAYS TRIGGER tally_events_insert_only;"
        "ALTER TABLE command_outcomes DISABLE TRIGGER ALL;"
        "DELETE FROM command_outcomes WHERE aggregate_type = 'tally';"
        "ALTER TABLE command_outcomes ENABLE ALWAYS TRIGGER command_outcomes_insert_only"
    )
    orders, tallies, relay, _ = start(installation)
    await orders.ready()
    for refused in (tallies, relay):
        assert await refused.ended() != 0
        assert "of tally" in refused.log
    await orders.stop()

    kafka, tell = KafkaConnection(installation.bootstrap_servers), lambda _told: None
    of_orders = Work(admin, kafka, ORDERS, ORDERS.topics(installation.prefix), tell)
    assert not (await recover(of_orders, "kim", {})).lacks
    of_tallies = Work(admin, kafka, TALLIES, TALLIES.topics(installation.prefix), tell)
    found = await recover(of_tallies, "kim", {}, carry_out=True)
    assert (found.events, found.outcomes, found.commands_again) == (2, 3, 0)
    assert await _stored(admin) == before

    # And a topic that is lost is put out again, byte for byte.
    topics = AIOKafkaAdminClient(bootstrap_servers=installation.bootstrap_servers)
    await topics.start()
    await topics.delete_topics([of_tallies.topics.events])
    await topics.close()
    await eventually(lambda: _made(kafka, of_tallies))
    assert (await republish(of_tallies, "kim", carry_out=True)).done == 2
    for service in start(installation):
        await service.ready()
    again = await upstream.read("tallies.events", 2)
    assert [(each.key, each.value, each.headers) for each in again] == [
        (each.key, each.value, each.headers) for each in sent
    ]


async def _stored(admin: asyncpg.Connection) -> list[tuple[Any, ...]]:
    rows = await admin.fetch(
        "SELECT event_id::text, version, recorded_at, payload, metadata FROM tally_events UNION ALL"
        " SELECT command_id::text, version, NULL, data::jsonb, headers::jsonb FROM command_outcomes"
        " WHERE aggregate_type = 'tally' ORDER BY 1"
    )
    return [tuple(row) for row in rows]


async def _made(kafka: KafkaConnection, work: Work) -> bool:
    """Make the topic of events again, as soon as Kafka has let go of the old one."""
    return work.topics.events in await ensure_topics(kafka, work.topics)
