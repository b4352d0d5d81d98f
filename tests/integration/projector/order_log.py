"""Orders made by deciding commands: stored in the event store, and laid out as the records of a topic."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID, uuid5

import asyncpg
from aiokafka import ConsumerRecord, TopicPartition

from eventstore import Append, Batch, EventStore, NewEvent, StreamKey
from harness.stored_events import new_event, record_headers
from messaging import partition_of
from orders import ORDER, Command, CreateOrder, Event, Order, decide, evolve, initial_state
from orders.commands import (
    AddItem,
    ApplyDiscount,
    ApplyLineDiscount,
    ChangeItemQuantity,
    CommandData,
    ConfirmOrder,
    RemoveItem,
    UndoLastChange,
    VoidOrder,
)

TOPIC = "orders.events"
PARTITIONS = 3
FIRST_MOMENT = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
RECORDED_AT = datetime(2026, 3, 2, tzinfo=UTC)
CORRELATION_ID = "visit-9"
NAMESPACE = UUID(int=7)


def order_key(name: str, tenant_id: str = "store-1") -> StreamKey:
    return StreamKey(tenant_id, uuid5(NAMESPACE, name))


class Happened(NamedTuple):
    """One event, who did it by which command, and the order before and after it."""

    actor: str
    command_id: UUID
    event: Event
    before: Order
    after: Order


@dataclass
class OrderLog:
    """What has happened: `orders` as they stand, `records` per partition with offsets from 0.

    What is done is done by `actor`.
    """

    orders: dict[StreamKey, Order] = field(default_factory=dict)
    records: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = field(
        default_factory=lambda: {TopicPartition(TOPIC, number): [] for number in range(PARTITIONS)}
    )
    unstored: dict[StreamKey, list[NewEvent]] = field(default_factory=dict)
    moment: datetime = FIRST_MOMENT
    actor: str = "till-1"
    history: list[Happened] = field(default_factory=list)

    def do(self, key: StreamKey, *commands: CommandData) -> None:
        for data in commands:
            order = self.orders.get(key) or initial_state(*key)
            self.moment += timedelta(minutes=1)
            command_id = uuid5(key.aggregate_id, f"{key.tenant_id}:{order.version}")
            command = Command(
                command_id=command_id,
                order_id=key.aggregate_id,
                tenant_id=key.tenant_id,
                actor=self.actor,
                occurred_at=self.moment,
                data=data,
                expected_version=order.version or None,
            )
            for event in decide(command, order):
                before, order = order, evolve(order, event)
                self.history.append(Happened(self.actor, command_id, event, before, order))
                self._take(key, order.version, event, command_id)
            self.orders[key] = order

    def _take(self, key: StreamKey, version: int, event: Event, command_id: UUID) -> None:
        event_id = uuid5(key.aggregate_id, f"{key.tenant_id} event {version}")
        new = new_event(event_id, event, self.actor, CORRELATION_ID, command_id)
        self.unstored.setdefault(key, []).append(new)
        self.publish(key, record_headers(key, version, new, RECORDED_AT), new.payload.encode())

    def publish(self, key: StreamKey, headers: Sequence[tuple[str, bytes]], value: bytes) -> None:
        text = str(key.aggregate_id).encode()
        partition = TopicPartition(TOPIC, partition_of(text, len(self.records)))
        offset = len(self.records[partition])
        self.records[partition].append(
            ConsumerRecord(
                TOPIC,
                partition.partition,
                offset,
                0,
                0,
                text,
                value,
                None,
                len(text),
                len(value),
                tuple(headers),
            )
        )

    def repeat(self, partition: TopicPartition, start: int, end: int) -> None:
        """Publish a stretch of a partition again, as a relay does after a crash."""
        for record in self.records[partition][start:end]:
            assert record.key is not None
            assert record.value is not None
            key = next(key for key in self.orders if str(key.aggregate_id).encode() == record.key)
            self.publish(key, record.headers, record.value)

    async def store(self, conn: asyncpg.Connection) -> None:
        """Append what happened since the last call."""
        appends = [
            Append(key, self.orders[key].version - len(events), events, RECORDED_AT)
            for key, events in self.unstored.items()
        ]
        await EventStore(ORDER).append(conn, Batch(appends=appends))
        self.unstored.clear()


def create(cashier_id: str = "ann", currency: str = "EUR") -> CreateOrder:
    return CreateOrder(cashier_id=cashier_id, currency=currency)


def item(price: str, quantity: str = "1") -> AddItem:
    return AddItem(product_id="p", name="Pear", quantity=Decimal(quantity), unit_price=Decimal(price))


CONFIRM = ConfirmOrder()
VOID = VoidOrder(reason="customer left", authorised_by="bob")


def _life(rng: random.Random) -> Iterator[CommandData]:
    yield create(rng.choice(["ann", "bob"]), rng.choice(["EUR", "JPY"]))
    lines = rng.randint(2, 6)
    for _ in range(lines):
        yield item(str(rng.randint(1, 900)), str(rng.randint(1, 9)))
    if rng.random() < 0.4:
        yield ChangeItemQuantity(line_id="1", quantity=Decimal(rng.randint(1, 20)))
    if rng.random() < 0.4:
        yield ApplyLineDiscount(line_id="1", percent=Decimal(rng.randint(1, 100)), authorised_by="bob")
    if rng.random() < 0.4:
        yield ApplyDiscount(percent=Decimal(rng.randint(1, 100)), authorised_by="bob")
    if rng.random() < 0.3 and lines > 2:
        yield RemoveItem(line_id="2")
    if rng.random() < 0.3:
        yield UndoLastChange()
    if rng.random() < 0.8:
        yield CONFIRM
    if rng.random() < 0.2:
        yield VOID


def random_log(orders: int, seed: int = 1) -> OrderLog:
    """Give a log of orders that were busy at the same time."""
    rng = random.Random(seed)  # noqa: S311 - repeatable
    clocks = random.Random(seed)  # noqa: S311 - repeatable
    log = OrderLog()
    waiting = [
        (order_key(f"order {n}", rng.choice(["store-1", "store-2"])), _life(rng)) for n in range(orders)
    ]
    while waiting:
        place = rng.randrange(min(len(waiting), 30))
        # Terminals' clocks differ: what comes later may have occurred earlier.
        log.moment += timedelta(minutes=clocks.choice([0, 0, 0, 5, -7]))
        key, commands = waiting[place]
        command = next(commands, None)
        if command is None:
            del waiting[place]
        else:
            log.do(key, command)
    return log
