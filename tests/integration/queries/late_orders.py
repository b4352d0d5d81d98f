"""Random orders whose events arrive late: by the terminals' clocks, earlier ones come after later ones."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID, uuid5

import asyncpg

from eventstore import Append, Batch, EventStore, NewEvent, StreamKey
from harness.stored_events import new_event
from integration.queries import first_orders
from orders import ORDER, Command, CreateOrder, Order, Rejected, decide, evolve, initial_state
from orders.commands import (
    AddItem,
    ApplyDiscount,
    ApplyLineDiscount,
    ChangeItemQuantity,
    CommandData,
    ConfirmOrder,
    RedoLastChange,
    RemoveDiscount,
    RemoveItem,
    UndoLastChange,
    VoidOrder,
)
from readmodels import AppliedEvent, OrderChange, Provenance

OPENING = datetime(2026, 5, 4, 7, tzinfo=UTC)
# Of the orders of schema version 1: some are confirmed on the next day.
LATE = datetime(2026, 5, 4, 22, 30, tzinfo=UTC)
STORE: EventStore[Order] = EventStore(ORDER)


def _life(rng: Random) -> Iterator[CommandData]:
    yield CreateOrder(cashier_id=rng.choice(["ann", "bob"]), currency=rng.choice(["EUR", "EUR", "JPY"]))
    for _ in range(rng.randint(1, 9)):
        line = rng.choice("123")
        changes: list[CommandData] = [
            AddItem(
                product_id=rng.choice(["pear", "tea", "cup"]),
                name=rng.choice(["Pear", "Tea", "Cup"]),
                quantity=Decimal(rng.randint(1, 5_000)).scaleb(-3),
                unit_price=Decimal(rng.randint(0, 99)),
            ),
            AddItem(product_id="pear", name="Pear", quantity=Decimal(2), unit_price=Decimal(3)),
            ChangeItemQuantity(line_id=line, quantity=Decimal(rng.randint(1, 9_999)).scaleb(-3)),
            ApplyLineDiscount(line_id=line, percent=Decimal(rng.randint(1, 100)), authorised_by="eve"),
            ApplyLineDiscount(line_id=line, amount=Decimal(rng.randint(0, 9)), authorised_by="eve"),
            ApplyDiscount(percent=Decimal(rng.randint(1, 100)), authorised_by="eve"),
            RemoveDiscount(),
            RemoveItem(line_id=line),
            UndoLastChange(),
            RedoLastChange(),
        ]
        yield rng.choice(changes)
    if rng.random() < 0.8:
        yield ConfirmOrder()
    if rng.random() < 0.4:
        yield VoidOrder(reason="returned", authorised_by="eve")


def live(rng: Random, key: StreamKey) -> list[AppliedEvent]:
    """Give the life of one order, with the times of a terminal whose clock is now late, now early."""
    order = initial_state(*key)
    first = rng.random() < 0.25
    recorded_at = (LATE if first else OPENING) + timedelta(minutes=rng.randint(0, 60))
    happened: list[AppliedEvent] = []
    for data in first_orders.life(rng) if first else _life(rng):
        recorded_at += timedelta(minutes=rng.randint(0, 30))
        command = Command(
            command_id=uuid5(key.aggregate_id, f"{key.tenant_id} {len(happened)}"),
            order_id=key.aggregate_id,
            tenant_id=key.tenant_id,
            actor="till-1",
            occurred_at=recorded_at - timedelta(minutes=rng.choice([0, 0, 1, 45, 26 * 60])),
            data=data,
            expected_version=order.version or None,
        )
        try:
            events = decide(command, order)
        except Rejected:
            continue
        for decided in events:
            event = first_orders.as_read(decided, key.tenant_id, order.version + 1) if first else decided
            before, order = order, evolve(order, event)
            who = Provenance("till-1", recorded_at, command.command_id, "visit")
            happened.append(AppliedEvent(event, who, before, order))
    return happened


def _new_event(applied: AppliedEvent) -> NewEvent:
    """Give what is appended; the orders of schema version 1 are those in its currency."""
    order, who = applied.after, applied.provenance
    event_id = uuid5(order.order_id, f"{order.tenant_id} event {order.version}")
    new = new_event(event_id, applied.event, who.actor, who.correlation_id, who.command_id)
    if order.currency != first_orders.CURRENCY:
        return new
    payload = first_orders.payload(applied.event, order.tenant_id)
    return new._replace(schema_version=1, payload=json.dumps(payload))


async def store(conn: asyncpg.Connection, orders: dict[StreamKey, list[AppliedEvent]], rng: Random) -> None:
    """Append what happened, a time of record at a time, and take a snapshot of some versions."""
    due = sorted(
        ((applied.provenance.recorded_at, key, applied) for key, all_ in orders.items() for applied in all_),
        key=lambda each: (each[0], each[1], each[2].after.version),
    )
    for recorded_at, key, applied in due:
        await STORE.append(
            conn, Batch([Append(key, applied.before.version, [_new_event(applied)], recorded_at)])
        )
        if rng.random() < 0.2:
            loaded = await STORE.load(conn, key)
            await STORE.append(conn, Batch(snapshots=[STORE.snapshot(key, loaded)]))


def pieces(orders: dict[StreamKey, list[AppliedEvent]], rng: Random) -> Iterator[list[OrderChange]]:
    """Give batches of changes as a projector writes them: some events of some orders at a time."""
    done = dict.fromkeys(orders, 0)
    while left := [key for key in orders if done[key] < len(orders[key])]:
        batch = []
        for key in rng.sample(left, rng.randint(1, len(left))):
            events = orders[key][done[key] : done[key] + rng.randint(1, 6)]
            done[key] += len(events)
            recorded_at = events[-1].provenance.recorded_at
            batch.append(OrderChange(events[-1].after, 0, done[key], recorded_at, events))
        yield batch


def keys(tenant_id: str, count: int) -> list[StreamKey]:
    return [StreamKey(tenant_id, uuid5(UUID(int=6), f"{tenant_id} {n}")) for n in range(count)]
