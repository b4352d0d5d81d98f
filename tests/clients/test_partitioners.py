"""The partitioners of librdkafka itself: confluent-kafka for Python, and every client that is built on it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from confluent_kafka import Message, Producer

from harness.installation import Installation, fresh_installation
from harness.plain_client import command
from harness.servers import Servers
from harness.waiting import eventually
from messaging import partition_of

CREATE = {"cashier_id": "anna", "currency": "EUR"}
PARTITIONS = 12
DEFAULT: Mapping[str, str] = {}
AS_JAVA: Mapping[str, str] = {"partitioner": "murmur2_random"}


@pytest.fixture(scope="module")
def installation(
    session_servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Give the module's topics and schema."""
    with fresh_installation(session_servers, tmp_path_factory.mktemp("partitioners")) as made:
        yield made


def create_orders(installation: Installation, options: Mapping[str, str], source: str) -> dict[str, int]:
    """Begin some orders with librdkafka; give the partition of each."""
    producer = Producer({"bootstrap.servers": installation.bootstrap_servers, **options})
    chosen: dict[str, int] = {}

    def acknowledged(error: Any, message: Message) -> None:
        assert error is None
        chosen[message.key().decode()] = message.partition()

    for _ in range(40):
        sent = command("CreateOrder", str(uuid4()), CREATE, source=source)
        topic = f"{installation.prefix}orders.commands"
        producer.produce(topic, sent["value"], sent["key"], headers=sent["headers"], on_delivery=acknowledged)
    producer.flush()
    return chosen


def belonging(orders: Mapping[str, int], partitioner: str) -> list[str]:
    """Give the orders that lie where the partitioner would have them."""
    return [
        order
        for order, partition in orders.items()
        if partition == partition_of(order.encode(), PARTITIONS, partitioner)
    ]


async def codes(conn: asyncpg.Connection, orders: Mapping[str, int]) -> dict[str, str | None]:
    """Give the outcome's code of each order's command, None for accepted, once all are there."""

    async def answered() -> list[asyncpg.Record] | None:
        rows = await conn.fetch(
            "SELECT aggregate_id, code, value FROM command_outcomes WHERE aggregate_id = ANY($1)",
            list(orders),
        )
        return rows if len(rows) == len(orders) else None

    rows = await eventually(answered)
    for row in rows:
        if row["code"] is not None:
            order = str(row["aggregate_id"])
            message = json.loads(row["value"])["message"]
            assert str(orders[order]) in message
            assert str(partition_of(order.encode(), PARTITIONS)) in message
    return {str(row["aggregate_id"]): row["code"] for row in rows}


async def test_its_default_is_told_and_the_right_option_is_not(
    installation: Installation, conn: asyncpg.Connection
) -> None:
    """By default it takes crc32, which is told and carried out; with `murmur2_random` all lies right."""
    service = installation.service("command_service")
    await service.ready()
    wrong = create_orders(installation, DEFAULT, "/till/default")
    right = create_orders(installation, AS_JAVA, "/till/murmur2")
    assert len(belonging(wrong, "crc32")) == len(wrong)
    assert len(belonging(right, "murmur2")) == len(right)
    answers = await codes(conn, wrong | right)
    assert set(answers.values()) == {None}
    elsewhere = len(wrong) - len(belonging(wrong, "murmur2"))
    assert elsewhere

    _, metrics = service.get("/metrics")
    counted = re.findall(r"^tillstream_commands_elsewhere_total\{.*\} (.*)$", metrics, re.MULTILINE)
    assert counted == [f"{elsewhere:.1f}"]
    assert service.log.count("commands.elsewhere") == 1
    await service.stop()


async def test_its_default_is_refused_where_the_fleet_wants_that(
    installation: Installation, conn: asyncpg.Connection
) -> None:
    """With the switch, each command elsewhere is refused by a sentence that names both partitions."""
    service = installation.service("command_service", refuse_wrong_partition="true")
    await service.ready()
    wrong = create_orders(installation, DEFAULT, "/till/default")
    right = create_orders(installation, AS_JAVA, "/till/murmur2")
    by_chance = belonging(wrong, "murmur2")
    answers = await codes(conn, wrong | right)
    assert answers == {
        order: "wrong_partition" if order in wrong and order not in by_chance else None for order in answers
    }
    await service.stop()


async def test_a_fleet_of_its_clients_keeps_its_default(
    installation: Installation, conn: asyncpg.Connection
) -> None:
    """With crc32 as the fleet's partitioner nothing that it sends by default lies elsewhere."""
    service = installation.service("command_service", partitioner="crc32", refuse_wrong_partition="true")
    await service.ready()
    answers = await codes(conn, create_orders(installation, DEFAULT, "/till/crc32"))
    assert set(answers.values()) == {None}
    await service.stop()
