"""An installation whose topics somebody else made: told, refused where commands would be lost, and mended."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from typer.testing import CliRunner

from commands import ORDERS
from harness.installation import Installation
from harness.plain_client import PlainClient, command
from harness.waiting import eventually
from messaging import KafkaConnection, differing_settings
from messaging.topics import COMMON
from till.app import app


async def set_otherwise(installation: Installation, topic: str, name: str, value: str) -> None:
    """Set one of a topic's settings as somebody else did."""
    configs = COMMON | ORDERS.topics(installation.prefix).configurations()[topic] | {name: value}
    admin = AIOKafkaAdminClient(bootstrap_servers=installation.bootstrap_servers)
    await admin.start()
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
    await admin.close()

    async def is_set() -> bool:
        kafka, topics = KafkaConnection(installation.bootstrap_servers), ORDERS.topics(installation.prefix)
        return [each.found for each in await differing_settings(kafka, topics, [topic])] == [value]

    await eventually(is_set)


@pytest.mark.parametrize(
    ("service", "topic", "setting"),
    [
        ("command_service", "commands", ("cleanup.policy", "compact")),
        ("outbox_relay", "events", ("retention.ms", "604800000")),
    ],
)
async def test_a_service_refuses_a_topic_that_loses_records(
    installation: Installation, upstream: PlainClient, service: str, topic: str, setting: tuple[str, str]
) -> None:
    """It ends with the topic, the setting and what mends it in its log; once mended, nothing was lost."""
    changed = getattr(ORDERS.topics(installation.prefix), topic)
    name, value = setting
    await set_otherwise(installation, changed, name, value)
    refused = installation.service(service)
    assert await refused.ended() == 70, refused.log
    lines = map(json.loads, refused.log.splitlines())
    (line,) = [each for each in lines if each["event"] == "service.refused"]
    assert f"{changed} has {name}={value}" in line["reason"]
    assert "till migrate --mend-topics" in line["reason"]

    await upstream.send([command("CreateOrder", str(uuid4()), {"cashier_id": "a", "currency": "EUR"})])
    settings = {
        "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS": installation.bootstrap_servers,
        "TILLSTREAM_TOPIC_PREFIX": installation.prefix,
        "TILLSTREAM_DATABASE_URL": installation.database_url("query"),
        "TILLSTREAM_ADMIN_DATABASE_URL": installation.database_url("postgres"),
    }
    told = await migrate(settings)
    assert told.exit_code == 1
    (found,) = json.loads(told.stdout)["differing"]
    assert (found["topic"], found["name"], found["found"]) == (changed, name, value)
    assert found["fix"].startswith(f"configs --alter --entity-type topics --entity-name {changed} ")
    assert (await migrate(settings, "--mend-topics")).exit_code == 0

    async def mended() -> bool:
        return (await migrate(settings)).exit_code == 0

    await eventually(mended)
    for each in ("command_service", "outbox_relay"):
        installation.service(each)
    (outcome,) = await upstream.read("orders.outcomes", 1)
    assert dict(outcome.headers)["ce_type"] == b"orders.CommandAccepted"


async def migrate(settings: dict[str, str], *options: str) -> Any:
    arguments = ["migrate", *options, "-o", "json"]
    return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=settings)
