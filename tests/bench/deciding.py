"""Commands a second, from records on Kafka to committed events."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
from measuring import Measurement, rate_until

from harness.installation import Installation
from harness.plain_client import command, plain_client

BATCH = 500
ITEMS = 8
# The same rows by the plainest means: one unnest statement a table and batch, nothing decoded or decided.
_TABLES = {
    "order_events": (
        "tenant_id, aggregate_id, version, event_id, event_type, schema_version, payload, metadata, "
        "occurred_at, recorded_at"
    ),
    "command_outcomes": (
        "tenant_id, command_id, aggregate_id, command_type, actor, data, occurred_at, fingerprint, code, "
        "version, headers, value"
    ),
    "outbox": "shard, topic, key, headers, value",
}
_TYPES = """
    SELECT format_type(atttypid, -1) AS type
    FROM unnest(string_to_array($2, ', ')) WITH ORDINALITY AS n (name, i)
    JOIN pg_attribute ON attrelid = $1::regclass AND attname = n.name
    ORDER BY i
"""


def basket() -> Iterator[dict[str, Any]]:
    """Return the commands of one order: created, filled, discounted, confirmed."""
    order_id = str(uuid4())
    yield command("CreateOrder", order_id, {"cashier_id": "anna", "currency": "EUR"})
    for number in range(ITEMS):
        item = {"product_id": f"p-{number}", "name": "Tea", "quantity": "2", "unit_price": "3.50"}
        yield command("AddItem", order_id, item)
    yield command("ApplyDiscount", order_id, {"percent": "10", "authorised_by": "mia"})
    yield command("ConfirmOrder", order_id)


async def measure(
    installation: Installation, connection: asyncpg.Connection, orders: int
) -> list[Measurement]:
    """Load the topic, start one command service, and watch the outcomes come."""
    # Orders side by side, as the tills of many stores are.
    baskets = [list(basket()) for _ in range(orders)]
    sent = [step for group in _groups(baskets, 50) for steps in zip(*group, strict=True) for step in steps]
    async with plain_client(installation.bootstrap_servers, installation.prefix) as client:
        await client.send(sent)
    service = installation.service("command_service")

    async def outcomes() -> int:
        return int(await connection.fetchval("SELECT count(*) FROM command_outcomes"))

    rate = await rate_until(outcomes, len(sent))
    await service.stop()
    return [
        Measurement(
            "commands, Kafka to commit",
            len(sent),
            rate,
            "the same rows inserted",
            await _insert_rate(connection),
        )
    ]


def _groups(baskets: list[list[dict[str, Any]]], size: int) -> Iterator[list[list[dict[str, Any]]]]:
    for start in range(0, len(baskets), size):
        yield baskets[start : start + size]


async def _insert_rate(connection: asyncpg.Connection) -> float:
    """Copy what was stored into tables of the same shape, a transaction for each batch of commands."""
    columns = {}
    for table, names in _TABLES.items():
        await connection.execute(f"CREATE TABLE copy_{table} (LIKE {table} INCLUDING ALL)")
        rows = await connection.fetch(f"SELECT {names} FROM {table}")  # noqa: S608 - our own names
        columns[table] = [list(column) for column in zip(*rows, strict=True)]
    types = {
        table: [row["type"] for row in await connection.fetch(_TYPES, f"copy_{table}", names)]
        for table, names in _TABLES.items()
    }
    total = len(columns["command_outcomes"][0])
    started = time.perf_counter()
    for start in range(0, total, BATCH):
        async with connection.transaction():
            for table, names in _TABLES.items():
                length = len(columns[table][0])
                window = slice(length * start // total, length * (start + BATCH) // total)
                arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types[table], 1))
                await connection.execute(
                    f"INSERT INTO copy_{table} ({names}) SELECT * FROM unnest({arrays})",  # noqa: S608 - as above
                    *(column[window] for column in columns[table]),
                )
    return total / (time.perf_counter() - started)
