"""A history whose messages were sent, or not: what tests of recovery and republishing begin with."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from pydantic import SecretStr
from typer.testing import CliRunner

from command_service.dead_letter_limit import DeadLetterLimit, dead_before
from command_service.handler import CommandHandler
from command_service.holding import Holding
from commands import ORDERS
from eventstore import decode_headers
from harness.plain_client import command
from harness.servers import FreshDatabase, Servers, fresh_database
from integration.command_service.conftest import no_look
from messaging import KafkaConnection, TopicReader, Topics, committed_offsets, ensure_topics
from operations.recover import move_group
from runtime import Database, TenantSettings
from till.app import app

ITEM = {"product_id": "p", "name": "Tea", "quantity": "1", "unit_price": "1.00"}
LINE = {"line_id": "1"}
COMMANDS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("CreateOrder", {"cashier_id": "anna", "currency": "EUR"}, {}),
    ("AddItem", ITEM, {}),
    ("ApplyLineDiscount", {**LINE, "percent": "10", "authorised_by": "mia"}, {}),
    ("RemoveItem", LINE, {}),
    ("RemoveItem", LINE, {}),  # refused
    ("UndoLastChange", {}, {"expectedversion": "4"}),  # two events
    ("ConfirmOrder", {}, {}),
]
REFUSED, UNDO, CONFIRM = 4, 5, 6
# Of the tenant of all commands: what is decided once more comes out the same only with these.
TENANTS = {"store-1": TenantSettings(time_zone="Pacific/Kiritimati", day_ends_at="01:00")}


def sql(dsn: str, statement: str, *arguments: Any) -> list[asyncpg.Record]:
    """Run a statement and give its rows."""

    async def run() -> list[asyncpg.Record]:
        conn = await asyncpg.connect(dsn)
        try:
            return list(await conn.fetch(statement, *arguments))
        finally:
            await conn.close()

    return asyncio.run(run())


class Message(NamedTuple):
    """What the relay of the lost installation sent, or did not send any more."""

    topic: str
    key: bytes
    headers: list[tuple[str, bytes]]
    value: bytes
    command: int

    @property
    def is_event(self) -> bool:
        return self.topic.endswith("orders.events")


class Lost:
    """What a lost database held, its topics, and a fresh database in its place."""

    def __init__(self, bootstrap_servers: str, topics: Topics, lost: str, restored: str) -> None:
        self.kafka = KafkaConnection(bootstrap_servers)
        self.topics = topics
        self.lost, self.restored = lost, restored
        self.order_id = str(uuid4())
        self.ids = [str(uuid4()) for _ in COMMANDS]
        self.messages: list[Message] = []

    def happen(self) -> None:
        """Send the commands, have each handled, and keep what the relay would send."""
        asyncio.run(self._happen())

    async def _happen(self) -> None:
        await ensure_topics(self.kafka, self.topics, partitions=2)
        await self.handle(
            [
                command(kind, self.order_id, data, command_id=id_, **attributes)
                for id_, (kind, data, attributes) in zip(self.ids, COMMANDS, strict=True)
            ]
        )

    async def handle(self, commands: Sequence[dict[str, Any]]) -> None:
        """Send commands, have each handled in this order, and keep what the relay would send."""
        async with TopicReader.open(self.kafka, self.topics.commands) as reader:
            before = reader.ends
        await self._produce([{"topic": self.topics.commands, **each} for each in commands])
        async with TopicReader.open(self.kafka, self.topics.commands) as reader:
            records = [each async for page in reader.pages(before, reader.ends) for each in page]
            await move_group(self.kafka, self.topics, ORDERS.command_group, reader.ends)
        records.sort(key=lambda record: record.timestamp)
        database = Database(SecretStr(self.lost), "test")
        holding = Holding(self.topics, DeadLetterLimit(0, dead_before(self.kafka)))
        handler = CommandHandler(database, ORDERS, self.topics, TENANTS, holding, elsewhere=no_look())
        conn = await asyncpg.connect(self.lost)
        for number, record in enumerate(
            records, 1 + max((each.command for each in self.messages), default=-1)
        ):
            await handler.handle({TopicPartition(record.topic, record.partition): [record]})
            rows = await conn.fetch("SELECT topic, key, headers, value FROM outbox ORDER BY id")
            self.messages += [
                Message(topic, key, decode_headers(headers), value, number)
                for topic, key, headers, value in rows
            ]
            await conn.execute("DELETE FROM outbox")
        await conn.close()
        await database.close()

    def send(
        self, sent: Callable[[Message], bool], partition: Callable[[Message], int | None] = lambda _: None
    ) -> list[Message]:
        """Put on the topics what was sent before the loss, and give the others."""
        chosen = [each for each in self.messages if sent(each)]
        asyncio.run(
            self._produce(
                [
                    {
                        "topic": each.topic,
                        "key": each.key,
                        "value": each.value,
                        "headers": each.headers,
                        "partition": partition(each),
                    }
                    for each in chosen
                ]
            )
        )
        return [each for each in self.messages if not sent(each)]

    async def _produce(self, messages: Sequence[dict[str, Any]]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers) as producer:
            for each in messages:
                await producer.send_and_wait(each.pop("topic"), **each)

    def expire_commands(self) -> None:
        """Have the commands' retention delete them all."""
        self.empty(self.topics.commands)

    def empty(self, topic: str) -> None:
        """Delete a topic's records, and leave the topic."""

        async def run() -> None:
            async with TopicReader.open(self.kafka, topic) as reader:
                ends = reader.ends
            admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.bootstrap_servers)
            await admin.start()
            try:
                await admin.delete_records(
                    {
                        TopicPartition(topic, number): RecordsToDelete(before_offset=end)
                        for number, end in ends.items()
                    }
                )
            finally:
                await admin.close()

        asyncio.run(run())

    def rows(self, *, restored: bool) -> list[tuple[Any, ...]]:
        """Give all events and outcomes of one of the databases, but for what a database counts by itself."""

        async def read() -> list[tuple[Any, ...]]:
            conn = await asyncpg.connect(self.restored if restored else self.lost)
            events = await conn.fetch(
                "SELECT tenant_id, aggregate_id, version, event_id, event_type, schema_version, payload,"
                " metadata, occurred_at, recorded_at FROM order_events ORDER BY version"
            )
            outcomes = await conn.fetch(
                "SELECT tenant_id, command_id, aggregate_id, command_type, actor, data, occurred_at,"
                " fingerprint, code, version, value FROM command_outcomes"
            )
            await conn.close()
            # In the order of the commands.
            outcomes.sort(key=lambda row: self.ids.index(str(row["command_id"])))
            return [tuple(row) for row in (*events, *outcomes)]

        return asyncio.run(read())

    def fetch(self, statement: str) -> list[asyncpg.Record]:
        """Run a statement on the restored database."""
        return sql(self.restored, statement)

    def outbox(self) -> list[tuple[str, bytes]]:
        """Give topic and value of what waits to be sent."""
        return [
            (row["topic"], row["value"]) for row in self.fetch("SELECT topic, value FROM outbox ORDER BY id")
        ]

    def goes_on_from(self) -> set[int]:
        """Give where the command service goes on: the offset in the partition that has the commands."""
        partitions = [TopicPartition(self.topics.commands, number) for number in (0, 1)]
        group = self.topics.group("command_service")
        committed = asyncio.run(committed_offsets(self.kafka, group, partitions))
        return {found.offset for found in committed.values()} - {0} or {0}

    def recover(self, *arguments: str) -> dict[str, Any]:
        """Run the verb and give its JSON answer."""
        result = CliRunner().invoke(app, ["recover", *arguments, "-o", "json"])
        if result.exception is not None:
            raise result.exception
        return dict(json.loads(result.stdout))


@contextmanager
def lost_installation(
    database: FreshDatabase, servers: Servers, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Lost]:
    """Give commands that were handled in a database that is gone, with `database`, fresh, in its place.

    The command line works on the fresh one.
    """
    for setting, value in {
        "ADMIN_DATABASE_URL": database.dsn(),
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka(),
        "TOPIC_PREFIX": prefix,
        "TENANTS": '{"store-1": {"time_zone": "Pacific/Kiritimati", "day_ends_at": "01:00"}}',
    }.items():
        monkeypatch.setenv(f"TILLSTREAM_{setting}", value)
    with fresh_database(servers) as lost:
        history = Lost(servers.kafka(), ORDERS.topics(prefix), lost.dsn(), database.dsn())
        history.happen()
        yield history
