"""Each principal of deploy/kafka-acls.toml does what it is for, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from typer.testing import CliRunner

from e2e.security.conftest import PRINCIPALS, SecuredKafka
from messaging import Acl, KafkaConnection, apply_acls, read_acls
from operations.errors import OperationRefused
from till.app import app
from till.errors import TillError

COMMANDS, EVENTS, OUTCOMES, LETTERS = TOPICS = (
    "orders.commands",
    "orders.events",
    "orders.outcomes",
    "orders.dead-letters",
)
WRITERS = {
    COMMANDS: {"upstream", "query_service", "operator"},
    EVENTS: {"outbox_relay"},
    OUTCOMES: {"outbox_relay"},
    LETTERS: {"outbox_relay"},
}
READERS = {
    COMMANDS: {"command_service", "operator"},
    EVENTS: {"command_service", "outbox_relay", "projector", "query_service", "operator", "analyst"},
    OUTCOMES: {"upstream", "command_service", "query_service", "operator", "analyst"},
    LETTERS: {"operator"},
}
# Who may use the group: the operator resets those of the services.
GROUPS = {
    "upstream.web": {"upstream"},
    "command_service": {"command_service", "operator"},
    "projector.sales": {"projector", "operator"},
    "operator.look": {"operator"},
    "analyst.daily": {"analyst"},
}
DEADLINE = 20.0


@asynccontextmanager
async def client(connection: KafkaConnection) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give a client that sends single requests."""
    admin = AIOKafkaAdminClient(**connection.options())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@pytest.mark.parametrize("principal", PRINCIPALS)
async def test_who_may_write(secured_kafka: SecuredKafka, principal: str) -> None:
    """A principal writes to the topics it is for; Kafka refuses it every other one."""
    producer = AIOKafkaProducer(**secured_kafka.connection(principal).options(), acks="all")
    await producer.start()
    written = set()
    try:
        for topic in TOPICS:
            try:
                async with asyncio.timeout(DEADLINE):
                    await producer.send_and_wait(topic, b"x", partition=0)
                written.add(topic)
            except TopicAuthorizationFailedError:
                pass
    finally:
        await producer.stop()
    assert written == {topic for topic, writers in WRITERS.items() if principal in writers}


@pytest.mark.parametrize("principal", PRINCIPALS)
async def test_who_may_read(secured_kafka: SecuredKafka, principal: str) -> None:
    """A principal reads the topics it is for; Kafka refuses it every other one."""
    fetch = FetchRequest(0, 0, 1024, 0, [(topic, [(0, 0, 1024)]) for topic in TOPICS])
    async with client(secured_kafka.connection(principal)) as admin:
        response = await admin._send_request(fetch)
    codes = {topic: partition[1] for topic, (partition,) in response.topics}
    read = {topic for topic, code in codes.items() if not code}
    assert {for_code(codes[topic]) for topic in codes.keys() - read} <= {TopicAuthorizationFailedError}
    assert read == {topic for topic, readers in READERS.items() if principal in readers}


@pytest.mark.parametrize("principal", PRINCIPALS)
async def test_who_may_see_a_group(secured_kafka: SecuredKafka, principal: str) -> None:
    """A principal finds its own consumer groups and nobody else's; the operator finds the services'."""
    seen = set()
    async with client(secured_kafka.connection(principal)) as admin:
        for group in GROUPS:
            try:
                await admin.find_coordinator(group)
            except GroupAuthorizationFailedError:
                continue
            except GroupCoordinatorNotAvailableError:
                # A new cluster has none yet; it tells only those who may ask.
                pass
            seen.add(group)
    assert seen == {group for group, principals in GROUPS.items() if principal in principals}


@pytest.mark.parametrize("principal", PRINCIPALS)
async def test_nobody_removes_what_happened_or_changes_permissions(
    secured_kafka: SecuredKafka, principal: str
) -> None:
    """No principal can delete a topic or its records, shorten its retention, or give itself a permission."""
    connection = secured_kafka.connection(principal)
    shorter = ConfigResource(ConfigResourceType.TOPIC, EVENTS, {"retention.ms": "1"})
    async with client(connection) as admin:
        codes = [row[1] for row in (await admin.delete_topics([EVENTS])).topic_error_codes]
        codes += [row[0] for (answer,) in [await admin.alter_configs([shorter])] for row in answer.resources]
        # Who may not even see the topic does not find whom to ask.
        with pytest.raises((TopicAuthorizationFailedError, NotLeaderForPartitionError)):
            await admin.delete_records({TopicPartition(EVENTS, 0): RecordsToDelete(-1)})
    assert [for_code(code) for code in codes] == [TopicAuthorizationFailedError] * 2
    with pytest.raises(ClusterAuthorizationFailedError):
        await apply_acls(connection, read_acls(f'[{principal}]\nwrite = ["topic orders.events"]'))


def test_permissions_are_applied_by_till(
    secured_kafka: SecuredKafka, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`till acls` makes what is missing, once, and tells what is not from the file, everybody's included."""
    monkeypatch.chdir(tmp_path)
    for name, value in secured_kafka.settings("admin").items():
        monkeypatch.setenv(f"TILLSTREAM_{name.upper()}", value)
    file = tmp_path / "acls.toml"

    def applied(text: str) -> Any:
        file.write_text(text)
        result = CliRunner().invoke(app, ["acls", str(file), "-o", "json"], catch_exceptions=False)
        return json.loads(result.stdout)

    old = '[visitor]\nread = ["topic lobby.*"]\n'
    lines = ["User:visitor may write topic guestbook", "User:visitor may read topic lobby.*"]
    assert applied(old + 'write = ["topic guestbook"]') == {"made": lines, "beside": []}
    assert applied(old) == {"made": [], "beside": lines[:1]}
    everybody = Acl("*", "read", "topic", "lobby", prefixed=False)
    asyncio.run(apply_acls(secured_kafka.connection("admin"), [everybody]))
    assert applied(old) == {"made": [], "beside": [*lines[:1], "User:* may read topic lobby"]}
    with pytest.raises(TillError, match="visitor"):
        applied('[visitor]\nread = ["table lobby"]')
    monkeypatch.setenv("TILLSTREAM_KAFKA_SASL_USERNAME", "operator")
    monkeypatch.setenv("TILLSTREAM_KAFKA_SASL_PASSWORD", secured_kafka.password("operator"))
    with pytest.raises(OperationRefused, match="operator may not change permissions"):
        applied(old)
