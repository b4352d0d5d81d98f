"""What an order comes to: from lines to total, each amount rounded once."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from orders.lines import Line, LineDiscount, OrderDiscount
from orders.money import Rounding, apportion, round_money

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class LineTotals:
    """One line's amounts: net = gross - discount; `order_discount` is its share of the order's discount."""

    line_id: str
    gross: Decimal
    discount: Decimal
    net: Decimal
    order_discount: Decimal


@dataclass(frozen=True, slots=True)
class Totals:
    """An order's amounts, all on the grid of its currency.

    subtotal = gross - line_discount = the sum of the lines' net; total = subtotal - order_discount; the
    lines' shares of order_discount sum to it exactly.
    """

    gross: Decimal
    line_discount: Decimal
    subtotal: Decimal
    order_discount: Decimal
    total: Decimal
    lines: tuple[LineTotals, ...]


def line_gross(quantity: Decimal, unit_price: Decimal, decimals: int, rounding: Rounding) -> Decimal:
    """Return quantity times price, rounded."""
    return round_money(quantity * unit_price, decimals, rounding)


def _line_discount(
    gross: Decimal, discount: LineDiscount | None, decimals: int, rounding: Rounding
) -> Decimal:
    if discount is None:
        return round_money(Decimal(0), decimals, rounding)
    if discount.amount is not None:
        return discount.amount
    return round_money(gross * (discount.percent or 0) / _HUNDRED, decimals, rounding)


def compute_totals(
    lines: Sequence[Line], discount: OrderDiscount | None, decimals: int, rounding: Rounding
) -> Totals:
    """Return the totals of these lines under this order discount, in a currency with so many decimals."""
    zero = round_money(Decimal(0), decimals, rounding)
    grosses = [line_gross(line.quantity, line.unit_price, decimals, rounding) for line in lines]
    discounts = [
        _line_discount(gross, line.discount, decimals, rounding)
        for line, gross in zip(lines, grosses, strict=True)
    ]
    nets = [gross - less for gross, less in zip(grosses, discounts, strict=True)]
    subtotal = sum(nets, zero)
    order_discount = (
        zero if discount is None else round_money(subtotal * discount.percent / _HUNDRED, decimals, rounding)
    )
    shares = apportion(order_discount, nets, decimals)
    return Totals(
        gross=sum(grosses, zero),
        line_discount=sum(discounts, zero),
        subtotal=subtotal,
        order_discount=order_discount,
        total=subtotal - order_discount,
        lines=tuple(
            LineTotals(line.line_id, gross, less, net, share)
            for line, gross, less, net, share in zip(lines, grosses, discounts, nets, shares, strict=True)
        ),
    )
