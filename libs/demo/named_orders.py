"""The few orders that the documents speak of: made up, in euros, in the data set's busiest store.

Their ids and times are fixed, so that a page can show what each question about them answers.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from demo.commands import CommandRecord

TENANT: Final = "store-361"
SOLD, OPEN, VOIDED = (UUID(f"6f2a1c52-0000-4000-8000-00000000000{number}") for number in (1, 2, 3))
REFUSED_COMMAND: Final = UUID("0b0d6f0e-0000-4000-8000-000000000001")

_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_APPLES = {"product_id": "p-apple", "name": "Apple", "quantity": "2", "unit_price": "1.50"}
_PEAR = {"product_id": "p-pear", "name": "Pear", "quantity": "1", "unit_price": "0.80"}


class _Step(NamedTuple):
    order_id: UUID
    minutes: int
    """After noon, by the terminal's clock."""
    command: str
    data: Mapping[str, Any]
    actor: str = "anna"
    command_id: UUID | None = None


def _create(order_id: UUID, minutes: int, cashier: str) -> _Step:
    data = {"cashier_id": cashier, "currency": "EUR", "business_day": "2026-03-01"}
    return _Step(order_id, minutes, "CreateOrder", data, cashier)


_STEPS = (
    _create(SOLD, 0, "anna"),
    _Step(SOLD, 1, "AddItem", _APPLES),
    _Step(SOLD, 2, "AddItem", _PEAR),
    _Step(SOLD, 3, "ApplyDiscount", {"percent": "10", "authorised_by": "max", "reason": "regular"}),
    _Step(SOLD, 4, "ChangeItemQuantity", {"line_id": "1", "quantity": "3"}),
    _Step(SOLD, 5, "ConfirmOrder", {}),
    _create(OPEN, 20, "ben"),
    _Step(OPEN, 21, "AddItem", _PEAR, "ben"),
    _create(VOIDED, 10, "anna"),
    _Step(VOIDED, 11, "AddItem", _APPLES),
    _Step(VOIDED, 12, "ConfirmOrder", {}),
    _Step(VOIDED, 60, "VoidOrder", {"reason": "customer left", "authorised_by": "max"}, "ben"),
    _Step(
        SOLD,
        30,
        "ApplyLineDiscount",
        {"line_id": "1", "percent": "5", "authorised_by": "max"},
        "ben",
        REFUSED_COMMAND,
    ),
)

NAMED_ORDERS: Final[Mapping[UUID, int]] = {SOLD: 6, OPEN: 2, VOIDED: 4}
"""Each order's version once all is in: of the commands one is refused, each other gives an event."""


def named_orders() -> Iterator[CommandRecord]:
    """Yield their commands in order; sending them again changes nothing."""
    for number, step in enumerate(_STEPS):
        key = str(step.order_id).encode()
        at = _NOON + timedelta(minutes=step.minutes)
        headers = [
            ("content-type", b"application/json"),
            ("ce_specversion", b"1.0"),
            ("ce_source", f"/{TENANT}/till-7".encode()),
            ("ce_subject", key),
            ("ce_tenantid", TENANT.encode()),
            ("ce_id", str(step.command_id or uuid5(step.order_id, f"step {number}")).encode()),
            ("ce_type", f"orders.{step.command}".encode()),
            ("ce_time", f"{at:%Y-%m-%dT%H:%M:%SZ}".encode()),
            ("ce_actor", step.actor.encode()),
        ]
        yield CommandRecord(key, headers, json.dumps(dict(step.data)).encode())
