"""A year of one tenant's orders in the event store, made by the domain's own rules."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from eventstore import StreamKey
from harness.stored_events import copy_rows, new_event, stored_row
from orders import Command, decide, evolve, initial_state, parse_command

TENANT = "store-1"
CASHIERS = tuple(f"cashier-{number}" for number in range(40))
PRODUCTS = 5_000
FIRST_DAY = datetime(2026, 1, 1, 8, tzinfo=UTC)
DAYS = 360
_EVENTS_AT_ONCE = 20_000


async def store_orders(connection: asyncpg.Connection, count: int) -> int:
    """Store so many orders of 1 to 9 lines, most of them confirmed, and return the number of events."""
    rows: list[tuple[Any, ...]] = []
    stored = 0
    for row in _rows(count):
        rows.append(row)
        if len(rows) == _EVENTS_AT_ONCE:
            await copy_rows(connection, rows)
            stored += len(rows)
            rows.clear()
    await copy_rows(connection, rows)
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
                event_id = UUID(int=rng.getrandbits(128))
                new = new_event(event_id, event, cashier, str(command.command_id), command.command_id)
                yield stored_row(StreamKey(TENANT, order_id), order.version, new, at + timedelta(seconds=1))


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
