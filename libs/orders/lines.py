"""An order's lines and the discounts on them. Stored in snapshots: see `order_storage.STATE_VERSION`."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class OrderDiscount:
    """A percentage off the whole order: 0 < percent <= 100."""

    percent: Decimal
    authorised_by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class LineDiscount:
    """A discount on one line: either a percentage of its gross or an amount in the order's currency."""

    authorised_by: str
    percent: Decimal | None = None
    amount: Decimal | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order. `unit_price` is on the grid of the order's currency."""

    line_id: str
    product_id: str
    name: str
    quantity: Decimal
    unit_price: Decimal
    discount: LineDiscount | None = None
