"""Lifts payloads of schema version 1, the shapes of the founding document, to version 2.

Version 1 had numbers for ids, binary floats for money, no currency, no line ids and no sums but the total.
What it did not say is filled in with the defaults named here. They are stored nowhere else, so to change one
is to rewrite history: don't.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

from orders.money import Rounding

DEFAULT_CURRENCY = "THB"
DEFAULT_MINOR_UNIT = 2
DEFAULT_ROUNDING = Rounding.HALF_UP

Upcaster = Callable[[dict[str, Any], int, datetime], dict[str, Any]]

_CENT = Decimal("0.01")
# Wide enough for any binary float written out.
_WIDE = Context(prec=400)


def _exact(number: float | Decimal | str) -> Decimal:
    # The shortest text that reads back as the same float is the number the cashier typed.
    return Decimal(str(number))


def _money(number: float | Decimal | str) -> str:
    return str(_exact(number).quantize(_CENT, "ROUND_HALF_UP", _WIDE))


def _order_created(payload: dict[str, Any], _version: int, occurred_at: datetime) -> dict[str, Any]:
    """Leave out the tenant, which stands beside the event; the business day is UTC's."""
    return {
        "cashier_id": str(payload["cashier_id"]),
        "currency": DEFAULT_CURRENCY,
        "minor_unit": DEFAULT_MINOR_UNIT,
        "rounding": DEFAULT_ROUNDING.value,
        "business_day": occurred_at.astimezone(UTC).date().isoformat(),
    }


def _item_added(payload: dict[str, Any], version: int, _occurred_at: datetime) -> dict[str, Any]:
    """Make the order's version the line id: one event added one line."""
    return {
        "line_id": str(version),
        "product_id": str(payload["product_id"]),
        "name": payload["name"],
        "quantity": format(_exact(payload["quantity"]), "f"),
        "unit_price": _money(payload["unit_price"]),
    }


def _discount_applied(payload: dict[str, Any], _version: int, _occurred_at: datetime) -> dict[str, Any]:
    return {
        "percent": format(_exact(payload["percent"]), "f"),
        "authorised_by": str(payload["authorised_by"]),
    }


def _order_confirmed(payload: dict[str, Any], _version: int, occurred_at: datetime) -> dict[str, Any]:
    """Leave subtotal and discount unknown; day and hour are UTC's."""
    at = occurred_at.astimezone(UTC)
    return {"total": _money(payload["total"]), "business_day": at.date().isoformat(), "hour": at.hour}


def _order_voided(payload: dict[str, Any], _version: int, _occurred_at: datetime) -> dict[str, Any]:
    return {"reason": payload["reason"], "authorised_by": str(payload["authorised_by"])}


# (event type, from version) -> (payload, the order's version, occurred_at) -> payload of the next version
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {
    ("OrderCreated", 1): _order_created,
    ("ItemAdded", 1): _item_added,
    ("DiscountApplied", 1): _discount_applied,
    ("OrderConfirmed", 1): _order_confirmed,
    ("OrderVoided", 1): _order_voided,
}
