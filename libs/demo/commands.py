"""Baskets as commands: CloudEvents 1.0 in binary mode, written out by hand as any till's software could.

Source of the form: the CloudEvents Kafka protocol binding 1.0, https://github.com/cloudevents/spec.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple
from uuid import uuid5

from demo.baskets import Basket, BasketLine
from demo.selection import CURRENCY, Correction, cashier_of, choose, manager_of, order_id_of, tenant_of

# A cashier's pace: it spreads an order's events so that a look at an earlier time shows something.
SECONDS_PER_STEP = 3
VOIDED_AFTER = timedelta(minutes=20)

_encode = json.JSONEncoder(separators=(",", ":")).encode


class CommandRecord(NamedTuple):
    """One record for the commands topic."""

    key: bytes
    headers: list[tuple[str, bytes]]
    value: bytes


class _Step(NamedTuple):
    command: str
    data: dict[str, str]
    by_manager: bool = False
    expected_version: int | None = None


def commands(basket: Basket) -> Iterator[CommandRecord]:
    """Yield the commands of one basket in order; each is accepted and gives one event.

    The order is created and filled in the seconds before the basket was paid, confirmed at that moment, and
    a few are voided later. Ids derive from the basket, so that sending twice changes nothing.
    """
    order_id = order_id_of(basket.basket_id)
    key = str(order_id).encode()
    tenant = tenant_of(basket.store_id).encode()
    cashier = cashier_of(basket.store_id, basket.paid_at.hour).encode()
    manager = manager_of(basket.store_id).encode()
    fixed = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_source", b"/" + tenant + b"/till"),
        ("ce_subject", key),
        ("ce_tenantid", tenant),
    ]
    steps = list(_steps(basket))
    confirmation = next(number for number, step in enumerate(steps) if step.command == "ConfirmOrder")
    for number, step in enumerate(steps):
        pace = timedelta(seconds=SECONDS_PER_STEP * (number - confirmation))
        at = basket.paid_at + (VOIDED_AFTER if step.by_manager else pace)
        headers = [
            *fixed,
            ("ce_id", str(uuid5(order_id, f"step {number}")).encode()),
            ("ce_type", f"orders.{step.command}".encode()),
            # Every basket's time is UTC.
            ("ce_time", at.isoformat()[:19].encode() + b"Z"),
            ("ce_actor", manager if step.by_manager else cashier),
        ]
        if step.expected_version is not None:
            headers.append(("ce_expectedversion", b"%d" % step.expected_version))
        yield CommandRecord(key, headers, _encode(step.data).encode())


def _steps(basket: Basket) -> Iterator[_Step]:
    choice = choose(basket.basket_id, len(basket.lines))
    manager = manager_of(basket.store_id)
    yield _Step(
        "CreateOrder",
        {
            "cashier_id": cashier_of(basket.store_id, basket.paid_at.hour),
            "currency": CURRENCY,
            # A basket begun before midnight belongs to the day it was paid.
            "business_day": basket.paid_at.date().isoformat(),
        },
    )
    version = 1
    for number, line in enumerate(basket.lines, start=1):
        yield _add(line, number)
        version += 1
        if line.discount_cents:
            amount = _amount(line.discount_cents)
            yield _Step(
                "ApplyLineDiscount",
                {
                    "line_id": str(number),
                    "amount": amount,
                    "authorised_by": manager,
                    "reason": "loyalty price",
                },
            )
            version += 1
    match choice.correction:
        case Correction.removal:
            yield _Step("RemoveItem", {"line_id": str(choice.line + 1)})
        case Correction.undo:
            yield _add(basket.lines[-1], len(basket.lines) + 1)
            yield _Step("UndoLastChange", {}, expected_version=version + 1)
        case Correction.none:
            pass
    yield _Step("ConfirmOrder", {})
    if choice.voided:
        yield _Step(
            "VoidOrder", {"reason": "returned by the customer", "authorised_by": manager}, by_manager=True
        )


def _add(line: BasketLine, number: int) -> _Step:
    return _Step(
        "AddItem",
        {
            "line_id": str(number),
            "product_id": line.product_id,
            "name": line.name,
            "quantity": str(line.quantity),
            "unit_price": _amount(line.price_cents),
        },
    )


def _amount(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
