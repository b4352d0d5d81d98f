"""Events in the terminal, as they happen on a real Kafka."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from commands import ORDERS
from messaging import KafkaConnection, Vector, ensure_topics
from messaging.events import event_headers
from operations.errors import Unreachable
from queries import BEGINNING, EventFilter
from runtime import Settings
from till import following
from till.app import app
from till.errors import TillError
from till.following import Followed, follow
from till.verbs import tail as verb

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORDER = UUID(int=7)


class Town:
    """A topic of events of two partitions."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def publish(
        self,
        *versions: int,
        kind: str = "ItemRemoved",
        tenant: str = "store-1",
        actor: str = "anna",
        order: UUID = ORDER,
        line: str = "1",
        schema_version: int = 1,
    ) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.settings.kafka_bootstrap_servers) as producer:
            for version in versions:
                headers = event_headers(
                    event_id=str(uuid4()),
                    message_type=f"orders.{kind}",
                    aggregate_id=str(order),
                    tenant_id=tenant,
                    actor=actor,
                    version=version,
                    schema_version=schema_version,
                    occurred_at=NOON,
                    recorded_at=NOON,
                    correlation_id="c",
                    causation_id=str(uuid4()),
                    metadata={},
                )
                value = json.dumps({"line_id": line}, ensure_ascii=False).encode()
                await producer.send_and_wait(
                    ORDERS.topics(self.settings.topic_prefix).events,
                    value,
                    headers=headers,
                    partition=version % 2,
                )

    async def followed(self, count: int, start: Any = BEGINNING, **wanted: Any) -> list[Followed]:
        """Give the next so many events."""
        found = []
        async with (
            asyncio.timeout(30),
            aclosing(follow(self.settings, EventFilter(**wanted), start)) as events,
        ):
            async for each in events:
                if each.record is not None:
                    found.append(each)
                if len(found) == count:
                    break
        return found


@pytest.fixture
async def town(kafka_server: Any, topic_prefix: str) -> Town:
    """Give a topic."""
    settings = Settings(kafka_bootstrap_servers=kafka_server.bootstrap_servers, topic_prefix=topic_prefix)
    await ensure_topics(KafkaConnection.of(settings), ORDERS.topics(topic_prefix), partitions=2)
    return Town(settings)


def versions(found: list[Followed]) -> list[int]:
    return sorted(each.message.version for each in found if each.message)


async def test_events_are_followed_from_a_place_on(town: Town) -> None:
    """From the beginning all come; from a place what came since; what is not wanted is passed over."""
    await town.publish(1, 2)
    place = (await town.followed(2))[-1].place
    await town.publish(3, tenant="store-2")
    await town.publish(4, actor="bob")
    await town.publish(5, order=UUID(int=8), kind="LineDiscountRemoved")
    assert versions(await town.followed(3, Vector.parse(place))) == [3, 4, 5]
    assert versions(await town.followed(1, tenant="store-2")) == [3]
    assert versions(await town.followed(1, actor="bob")) == [4]
    assert versions(await town.followed(1, order_id=UUID(int=8))) == [5]
    assert versions(await town.followed(1, types=frozenset({"LineDiscountRemoved"}))) == [5]
    for gone in (Vector(uuid4(), (0, 0)), Vector(Vector.parse(place).topic_id, (99, 0))):
        with pytest.raises(TillError, match="Nothing can be followed from there"):
            await town.followed(1, gone)


def test_the_verb_prints_lines_and_where_it_ended(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line an event, escaped where it could steer a terminal; at the end a place to go on from."""
    asyncio.run(town.publish(2, line="\x9b1m[bold]"))
    monkeypatch.setenv("TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS", town.settings.kafka_bootstrap_servers)
    monkeypatch.setenv("TILLSTREAM_TOPIC_PREFIX", town.settings.topic_prefix)

    async def until_seen(*arguments: Any) -> AsyncIterator[Followed]:
        async for each in follow(*arguments):
            yield each
            if each.record is not None:
                # As Ctrl-C does, between two events.
                raise KeyboardInterrupt

    monkeypatch.setattr(verb, "follow", until_seen)
    table = CliRunner().invoke(app, ["tail", "--from", "beginning"])
    assert table.exit_code == 0, table.output
    header, line = table.stdout.splitlines()
    columns = "recorded at tenant id order id version event actor what"
    assert header.split() == columns.split()
    assert line.split(maxsplit=7) == [
        "2026-03-01",
        "12:00:00Z",
        "store-1",
        str(ORDER),
        "2",
        "ItemRemoved",
        "anna",
        "line \\x9b1m[bold] out",
    ]
    as_json = CliRunner().invoke(app, ["tail", "--from", "beginning", "--order", str(ORDER), "-o", "json"])
    assert json.loads(as_json.stdout)["data"] == {"line_id": "\x9b1m[bold]"}
    assert "\x9b" not in as_json.stdout
    place = as_json.stderr.split()[-1]
    assert Vector.parse(place).offsets == (1, 0)


def test_what_can_not_be_followed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An odd place, order or type, and a Kafka that isn't there, are told with advice."""
    monkeypatch.setenv("TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    for arguments in (["--from", "yesterday"], ["--order", "7"], ["--kind", "Nonsense"]):
        error = CliRunner().invoke(app, ["tail", *arguments]).exception
        assert isinstance(error, TillError)
        assert error.advice
    assert isinstance(CliRunner().invoke(app, ["tail"]).exception, Unreachable)


async def test_an_event_of_a_newer_build_is_told(town: Town) -> None:
    """An event that this build can't read is named, and not shown half."""
    await town.publish(1, schema_version=99)
    (found,) = await town.followed(1)
    assert found.message is not None
    with pytest.raises(TillError, match="99"):
        following.told(found.message)
