"""A few tenants' orders, stored and projected by the services' own code, without Kafka."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
from aiokafka import ConsumerRecord
from pydantic import SecretStr

from commands import ORDERS, Decided, Deciding, read_request
from eventstore import EventStore, StreamKey, decode_headers
from harness.plain_client import command
from integration.projector.consuming import Consumer, all_records
from integration.projector.order_log import TOPIC, OrderLog
from messaging import TopicFacts, format_time
from orders import ORDER
from projector.handler import Projector
from projector.projection import Projection
from readmodels import READ_MODELS
from readmodels.checkpoints import Checkpoints
from readmodels.generations import open_live
from runtime import Database

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
APPLE = {"product_id": "p-apple", "name": "Apple", "quantity": "2", "unit_price": "1.50"}
PEAR = {"product_id": "p-pear", "name": "Pear", "quantity": "1", "unit_price": "0.80"}


class Sent(NamedTuple):
    """A command as a terminal sends it; times are those of the terminal's clock."""

    kind: str
    data: dict[str, Any]
    actor: str = "anna"
    occurred_at: datetime = NOON
    command_id: UUID | None = None
    attributes: tuple[tuple[str, Any], ...] = ()


class Shop:
    """Decides and stores commands as the command service does, and projects them as projectors do."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._store = EventStore(ORDER)
        self.log = OrderLog()
        self._consumers: dict[str, tuple[Database, Consumer]] = {}

    async def send(self, key: StreamKey, *commands: Sent, recorded_at: datetime | None = None) -> list[UUID]:
        """Store commands on one order, each recorded at that time (else when it occurred); give their ids."""
        conn = await asyncpg.connect(self._database.dsn())
        try:
            return [await self._send(conn, key, sent, recorded_at or sent.occurred_at) for sent in commands]
        finally:
            await conn.close()

    async def _send(
        self, conn: asyncpg.Connection, key: StreamKey, sent: Sent, recorded_at: datetime
    ) -> UUID:
        command_id = sent.command_id or uuid4()
        made = command(
            sent.kind,
            str(key.aggregate_id),
            sent.data,
            command_id=str(command_id),
            tenant=key.tenant_id,
            actor=sent.actor,
            time=format_time(sent.occurred_at).decode(),
            **dict(sent.attributes),
        )
        await self.take(conn, key, made, recorded_at)
        return command_id

    async def take(
        self, conn: asyncpg.Connection, key: StreamKey, made: dict[str, Any], recorded_at: datetime
    ) -> None:
        """Store a command as `plain_client.command` makes them, recorded at that time."""
        decided = await self._decided(conn, key, made, recorded_at)
        await self._store.append(conn, decided.batch)
        topics = ORDERS.topics()
        for message in decided.batch.messages:
            if message.topic == topics.events:
                self.log.publish(key, decode_headers(message.headers), message.value or b"")

    async def _decided(
        self, conn: asyncpg.Connection, key: StreamKey, made: dict[str, Any], recorded_at: datetime
    ) -> Decided:
        request = read_request(_record(**made), ORDERS, {})
        states = await self._store.load_many(conn, [key])
        deciding = Deciding(ORDERS, ORDERS.topics(), known={}, states=states, now=recorded_at)
        deciding.decide(request)
        return deciding.result()

    async def catch_up(self, names: Collection[str] = tuple(READ_MODELS)) -> None:
        """Let the read models take in all that was stored so far."""
        for name in names:
            if name not in self._consumers:
                self._consumers[name] = await self._consumer(name)
            await self._consumers[name][1].drain()

    async def _consumer(self, name: str) -> tuple[Database, Consumer]:
        held = Database(SecretStr(self._database.dsn("projector")), "test")
        read_model = await open_live(await held.connection(), READ_MODELS[name])

        async def topic() -> TopicFacts:
            return TopicFacts(UUID(int=1), len(self.log.records))

        checkpoints = Checkpoints(name, read_model.generation, TOPIC)
        projection = Projection(read_model, self._store)
        consumer = Consumer(
            self.log,
            Projector(held, read_model, projection, checkpoints, topic, is_without_records=all_records),
        )
        await consumer.assign()
        return held, consumer

    async def close(self) -> None:
        for held, consumer in self._consumers.values():
            await consumer.projector.revoked()
            await held.close()


def _record(key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord(
        "orders.commands", 0, 0, 0, 0, key, value, None, len(key), len(value), tuple(headers)
    )


def sale(*items: dict[str, Any], cashier: str = "anna", confirmed: bool = True) -> Iterable[Sent]:
    """Give the commands of an order of these items."""
    yield Sent("CreateOrder", {"cashier_id": cashier, "currency": "EUR"}, cashier)
    for item in items:
        yield Sent("AddItem", item, cashier)
    if confirmed:
        yield Sent("ConfirmOrder", {}, cashier)
