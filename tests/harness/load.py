"""Commands for a few orders that are busy at the same time, some sent twice and some to be refused."""

import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from harness.plain_client import command

SENT_TWICE = 0.15


def _item(rng: random.Random) -> dict[str, Any]:
    return {
        "product_id": f"p-{rng.randint(1, 99)}",
        "name": "Tea",
        "quantity": str(rng.randint(1, 5)),
        "unit_price": f"{rng.randint(1, 90)}.{rng.randint(10, 99)}",
    }


def _life(rng: random.Random) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    yield "CreateOrder", {"cashier_id": rng.choice(["ann", "bob"]), "currency": "EUR"}, {}
    yield "AddItem", _item(rng), {}
    yield "AddItem", _item(rng), {}
    yield "UndoLastChange", {}, {"expectedversion": "3"}
    yield "ChangeItemQuantity", {"line_id": "1", "quantity": "7"}, {}
    yield "RemoveItem", {"line_id": "none such"}, {}
    yield "ApplyLineDiscount", {"line_id": "1", "percent": "12.5", "authorised_by": "mia"}, {}
    for _ in range(rng.randint(1, 4)):
        yield "AddItem", _item(rng), {}
    if rng.random() < 0.5:
        yield "ApplyDiscount", {"percent": str(rng.randint(1, 30)), "authorised_by": "mia"}, {}
    if rng.random() < 0.8:
        yield "ConfirmOrder", {}, {}
    if rng.random() < 0.3:
        yield "VoidOrder", {"reason": "customer left", "authorised_by": "mia"}, {}


def commands_of_orders(orders: int, seed: int) -> list[dict[str, Any]]:
    """Give the commands as arguments of `producer.send`; the same for the same seed, ids included."""
    rng = random.Random(seed)  # noqa: S311 - repeatable
    lives = [
        (
            str(UUID(int=rng.getrandbits(128), version=4)),
            rng.choice(["store-1", "store-2"]),
            list(_life(rng)),
        )
        for _ in range(orders)
    ]
    sent = []
    while lives:
        order_id, tenant, life = rng.choice(lives)
        kind, data, attributes = life.pop(0)
        command_id = str(UUID(int=rng.getrandbits(128), version=4))
        one = command(kind, order_id, data, command_id=command_id, tenant=tenant, **attributes)
        sent += [one, one] if rng.random() < SENT_TWICE else [one]
        lives = [life for life in lives if life[2]]
    return sent
