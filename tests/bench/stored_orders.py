"""A year of one tenant's orders in the event store, made by the domain's own rules."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from orders import Command, Event, Order, decide, encode_event, evolve, initial_state, parse_command

TENANT = "store-1"
CASHIERS = tuple(f"cashier-{number}" for number in range(40))
PRODUCTS = 5_000
FIRST_DAY = datetime(2026, 1, 1, 8, tzinfo=UTC)
DAYS = 360
_COLUMNS = (
    "event_id",
    "aggregate_id",
    "tenant_id",
    "version",
    "event_type",
    "schema_version",
    "payload",
    "metadata",
    "occurred_at",
    "recorded_at",
)
_EVENTS_AT_ONCE = 20_000


async def store_orders(connection: asyncpg.Connection, count: int) -> int:
    """Store so many orders of 1 to 9 lines, most of them confirmed, and return the number of events."""
    rows: list[tuple[Any, ...]] = []
    stored = 0
    for row in _rows(count):
        rows.append(row)
        if len(rows) == _EVENTS_AT_ONCE:
            await connection.copy_records_to_table("order_events", records=rows, columns=_COLUMNS)
            stored += len(rows)
            rows.clear()
    await connection.copy_records_to_table("order_events", records=rows, columns=_COLUMNS)
    await connection.execute("ANALYZE order_events")
    return stored + len(rows)


def _rows(count: int) -> Iterator[tuple[Any, ...]]:
    rng = random.Random(1)  # noqa: S311 - repeatable
    for number in range(count):
        day = FIRST_DAY + timedelta(days=number * DAYS // count)
        began = day + timedelta(seconds=rng.randrange(12 * 3600))
        order_id = UUID(int=rng.getrandbits(128))
        order = initial_state(TENANT, order_id)
        cashier = rng.choice(CASHIERS)
        for step, (kind, data) in enumerate(_commands(rng, cashier)):
            at = began + timedelta(seconds=5 * step)
            command = Command(
                command_id=UUID(int=rng.getrandbits(128)),
                order_id=order_id,
                tenant_id=TENANT,
                actor=cashier,
                occurred_at=at,
                data=parse_command(kind, data),
            )
            for event in decide(command, order):
                order = evolve(order, event)
                yield (UUID(int=rng.getrandbits(128)), *_row(command, order, event))


def _commands(rng: random.Random, cashier: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "CreateOrder", {"cashier_id": cashier, "currency": "EUR"}
    for _ in range(rng.randint(1, 9)):
        number = rng.randrange(PRODUCTS)
        yield (
            "AddItem",
            {
                "product_id": f"p-{number}",
                "name": f"Product {number}",
                "quantity": str(rng.randint(1, 3)),
                "unit_price": f"{1 + number % 40}.{number % 100:02}",
            },
        )
    if rng.random() < 0.1:
        yield "ApplyDiscount", {"percent": "10", "authorised_by": "mia"}
    if rng.random() < 0.95:
        yield "ConfirmOrder", {}
        if rng.random() < 0.02:
            yield "VoidOrder", {"reason": "returned", "authorised_by": "mia"}


def _row(command: Command, order: Order, event: Event) -> tuple[Any, ...]:
    event_type, schema_version, payload = encode_event(event)
    origin = {
        "actor": command.actor,
        "correlation_id": str(command.command_id),
        "causation_id": str(command.command_id),
    }
    return (
        command.order_id,
        TENANT,
        order.version,
        event_type,
        schema_version,
        payload,
        json.dumps(origin),
        command.occurred_at,
        command.occurred_at + timedelta(seconds=1),
    )
