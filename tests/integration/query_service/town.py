"""Two tenants' orders, some with the same ids, in one database that tests only read."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from eventstore import StreamKey
from harness.servers import FreshDatabase, Servers, fresh_database
from integration.query_service.shop import APPLE, NOON, PEAR, Sent, Shop, sale

SOLD, OPEN, VOIDED, THEIRS = (UUID(f"6f2a1c52-0000-4000-8000-00000000000{number}") for number in range(1, 5))
REFUSED_COMMAND = UUID("0b0d6f0e-0000-4000-8000-000000000001")
ACCEPTED_COMMAND = UUID("0b0d6f0e-0000-4000-8000-000000000002")
OURS, OTHERS = "store-1", "store-2"
UNHEARD_OF = "tulips"
"""Stands in many places of the second tenant's orders, and nowhere else."""


@contextmanager
def town_database(servers: Servers) -> Iterator[FreshDatabase]:
    """Give the town while the body runs."""
    with fresh_database(servers) as database:
        asyncio.run(_fill(database))
        yield database


async def _fill(database: FreshDatabase) -> None:
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
