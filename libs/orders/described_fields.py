"""What is told of an order: the one list, for the audit trail, for differences and for answers.

A field of the state, or of an event, that the trail or a difference does not tell is named in `NOT_DESCRIBED`
with the reason: a test fails for one that was forgotten.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Final

from orders import events
from orders.lines import Line, LineDiscount, OrderDiscount
from orders.order import Order
from orders.totals import LineTotals, Totals

Value = str | int | Decimal | date | None
"""What a field may be; None where it is not there."""

ORDER_FIELDS: Final = (
    "status",
    "cashier_id",
    "currency",
    "rounding",
    "business_day",
    "hour",
    "voided_reason",
    "voided_by",
)
LINE_FIELDS: Final = ("product_id", "name", "quantity", "unit_price")
# Of a line's discount and of the order's, which has no amount.
DISCOUNT_FIELDS: Final = ("percent", "amount", "authorised_by", "reason")
TOTALS: Final = ("gross", "line_discount", "subtotal", "order_discount", "total")
LINE_AMOUNTS: Final = ("gross", "discount", "net")

_NAMES_IT = "names what it is told of"
_LINES = "told line by line"
_DISCOUNT = "told by DISCOUNT_FIELDS"
_SUMMED_UP = "told as the totals, which are summed up from the lines"

NOT_DESCRIBED: Final[Mapping[type, Mapping[str, str]]] = {
    Order: {
        "tenant_id": _NAMES_IT,
        "order_id": _NAMES_IT,
        "version": _NAMES_IT,
        "created_at": "the time of the event tells it",
        "updated_at": "the time of the event tells it",
        "minor_unit": "follows from the currency; amounts show it",
        "confirmed": "status and hour tell it",
        "lines": _LINES,
        "discount": _DISCOUNT,
        "next_line": "the next line's id will tell it",
        "undo": "what undo takes back is told when it does",
        "redo": "what redo does again is told when it does",
    },
    Line: {"line_id": _NAMES_IT, "discount": _DISCOUNT},
    OrderDiscount: {},
    LineDiscount: {},
    Totals: {"lines": _LINES},
    LineTotals: {
        "line_id": _NAMES_IT,
        "order_discount": "moves with every other line; the order's discount is told",
    },
    events.OrderCreated: {"minor_unit": "follows from the currency; amounts show it"},
    events.ItemAdded: {"position": "a difference tells that lines stand in another order; a trail doesn't"},
    events.ItemQuantityChanged: {"old": "the line before tells it"},
    events.OrderConfirmed: {"subtotal": _SUMMED_UP, "discount": _SUMMED_UP, "total": _SUMMED_UP},
}
"""Fields that are not told, each with the reason, by what they belong to."""

_order = attrgetter(*ORDER_FIELDS)
_line = attrgetter(*LINE_FIELDS)
_totals = attrgetter(*TOTALS)
_amounts = attrgetter(*LINE_AMOUNTS)


def order_fields(order: Order) -> dict[str, Value]:
    """Return an order's own fields: before its creation it has none."""
    return {} if order.status == "new" else dict(zip(ORDER_FIELDS, _order(order), strict=True))


def totals_fields(totals: Totals) -> dict[str, Value]:
    """Return what an order comes to."""
    return dict(zip(TOTALS, _totals(totals), strict=True))


def line_fields(line: Line) -> dict[str, Value]:
    """Return a line's fields but its discount."""
    return dict(zip(LINE_FIELDS, _line(line), strict=True))


def line_amounts(amounts: LineTotals) -> dict[str, Value]:
    """Return what a line comes to."""
    return dict(zip(LINE_AMOUNTS, _amounts(amounts), strict=True))


def discount_fields(discount: OrderDiscount | LineDiscount | None) -> dict[str, Value] | None:
    """Return a discount's fields; None for none."""
    return None if discount is None else {name: getattr(discount, name, None) for name in DISCOUNT_FIELDS}
