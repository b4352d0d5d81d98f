"""Orders whose events are of schema version 1: what that did not say is filled in when they are read.

Their business day is that of each event, so an order that is confirmed past midnight moves to the next day.
"""

from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

from orders import (
    ORDER,
    CreateOrder,
    Event,
    ItemAdded,
    OrderConfirmed,
    OrderCreated,
    OrderVoided,
    decode_event,
)
from orders.commands import AddItem, ApplyDiscount, CommandData, ConfirmOrder, VoidOrder
from orders.events import DiscountApplied

CURRENCY = "THB"


def life(rng: Random) -> Iterator[CommandData]:
    yield CreateOrder(cashier_id=rng.choice("12"), currency=CURRENCY)
    for _ in range(rng.randint(1, 4)):
        product, name = rng.choice([("7", "Pear"), ("8", "Tea")])
        price = Decimal(rng.randint(0, 9_999)).scaleb(-2)
        yield AddItem(
            product_id=product, name=name, quantity=Decimal(rng.randint(1, 9)), unit_price=price, line_id=None
        )
    if rng.random() < 0.5:
        yield ApplyDiscount(percent=Decimal(rng.randint(1, 100)), authorised_by="3")
    if rng.random() < 0.8:
        yield ConfirmOrder()
    if rng.random() < 0.4:
        yield VoidOrder(reason="returned", authorised_by="3")


def payload(event: Event, tenant_id: str) -> dict[str, Any]:
    """Write an event's payload as version 1 had it: numbers for ids, binary floats for money."""
    match event.data:
        case OrderCreated() as data:
            return {"tenant_id": tenant_id, "cashier_id": int(data.cashier_id)}
        case ItemAdded() as data:
            named = {"product_id": int(data.product_id), "name": data.name}
            return {**named, "quantity": int(data.quantity), "unit_price": float(data.unit_price)}
        case DiscountApplied() as data:
            return {"percent": float(data.percent), "authorised_by": int(data.authorised_by)}
        case OrderConfirmed() as data:
            return {"total": float(data.total)}
        case OrderVoided() as data:
            return {"reason": data.reason, "authorised_by": int(data.authorised_by)}
        case _:
            raise AssertionError(f"version 1 had no {event.data.type}")


def as_read(event: Event, tenant_id: str, version: int) -> Event:
    """Give the event as it is read from a payload of version 1."""
    event_type = event.data.type
    lifted = ORDER.upcasters[event_type, 1](payload(event, tenant_id), version, event.occurred_at)
    return decode_event(event_type, lifted, occurred_at=event.occurred_at)
