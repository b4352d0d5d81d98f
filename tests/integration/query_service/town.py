"""Two tenants' orders, some with the same ids, in one database that tests only read."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from eventstore import StreamKey
from integration.query_service.shop import APPLE, NOON, PEAR, Sent, Shop, sale

SOLD, OPEN, VOIDED, THEIRS = (UUID(f"6f2a1c52-0000-4000-8000-00000000000{number}") for number in range(1, 5))
REFUSED_COMMAND = UUID("0b0d6f0e-0000-4000-8000-000000000001")
ACCEPTED_COMMAND = UUID("0b0d6f0e-0000-4000-8000-000000000002")
OURS, OTHERS = "store-1", "store-2"
UNHEARD_OF = "tulips"
"""Stands in many places of the second tenant's orders, and nowhere else."""


@dataclass(frozen=True)
class TownDatabase:
    """As the fixture `database` is."""

    name: str
    server: Any

    def dsn(self, role: str = "postgres") -> str:
        """Give its address for a role."""
        address: str = self.server.dsn(self.name, role)
        return address


@contextmanager
def town_database(server: Any, template: str) -> Iterator[TownDatabase]:
    """Give the town while the body runs."""
    name = f"tillstream_town_{secrets.token_hex(6)}"
    asyncio.run(_execute(server.admin_dsn, f"CREATE DATABASE {name} TEMPLATE {template}"))
    database = TownDatabase(name, server)
    try:
        asyncio.run(_fill(database))
        yield database
    finally:
        asyncio.run(_execute(server.admin_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(dsn: str, statement: str) -> None:
    conn = await asyncpg.connect(dsn)
    await conn.execute(statement)
    await conn.close()


async def _fill(database: TownDatabase) -> None:
    shop = Shop(database)
    late = NOON + timedelta(hours=1)
    # A discount that was given at noon and recorded an hour later.
    await shop.send(StreamKey(OURS, SOLD), *sale(APPLE, PEAR, confirmed=False))
    await shop.send(
        StreamKey(OURS, SOLD),
        Sent("ApplyDiscount", {"percent": "10", "authorised_by": "max", "reason": "=regular"}, "anna"),
        Sent("ChangeItemQuantity", {"line_id": "1", "quantity": "3"}, "anna"),
        Sent("ConfirmOrder", {}, "anna", command_id=ACCEPTED_COMMAND),
        recorded_at=late,
    )
    refused = {"line_id": "7", "percent": "5", "authorised_by": "max"}
    await shop.send(
        StreamKey(OURS, SOLD),
        Sent("ApplyLineDiscount", refused, "ben", command_id=REFUSED_COMMAND),
        recorded_at=late,
    )
    await shop.send(StreamKey(OURS, OPEN), *sale(PEAR, cashier="ben", confirmed=False))
    await shop.send(StreamKey(OURS, VOIDED), *sale(APPLE))
    await shop.send(
        StreamKey(OURS, VOIDED),
        Sent("VoidOrder", {"reason": "customer left", "authorised_by": "max"}, "ben"),
        recorded_at=late,
    )
    theirs = {
        "product_id": UNHEARD_OF,
        "name": UNHEARD_OF,
        "quantity": "5",
        "unit_price": "7.77",
        "line_id": UNHEARD_OF,
    }
    for order_id in (SOLD, THEIRS):
        await shop.send(
            StreamKey(OTHERS, order_id),
            *sale(theirs, cashier=UNHEARD_OF),
            Sent("VoidOrder", {"reason": UNHEARD_OF, "authorised_by": UNHEARD_OF}, UNHEARD_OF),
            Sent("RemoveItem", {"line_id": UNHEARD_OF}, UNHEARD_OF, command_id=UUID(int=order_id.int + 100)),
        )
    await shop.catch_up()
    await shop.close()
