"""What an order comes to: from lines to total, each amount rounded once."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from orders.lines import Line, LineDiscount, OrderDiscount
from orders.money import Rounding, apportion, no_money, round_money

_ZERO, _HUNDRED = Decimal(0), Decimal(100)


class LineTotals(NamedTuple):
    """One line's amounts: net = gross - discount; `order_discount` is its share of the order's discount."""

    line_id: str
    gross: Decimal
    discount: Decimal
    net: Decimal
    order_discount: Decimal


class Totals(NamedTuple):
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


def compute_totals(
    lines: Sequence[Line], discount: OrderDiscount | None, decimals: int, rounding: Rounding
) -> Totals:
    """Return the totals of these lines under this order discount, in a currency with so many decimals."""
    zero = no_money(decimals)
    gross = line_discount = zero
    nets = []
    amounts = []
    for line in lines:
        of_line = line_gross(line.quantity, line.unit_price, decimals, rounding)
        less = zero
        if line.discount is not None:
            less = _line_discount(of_line, line.discount, decimals, rounding)
        gross += of_line
        line_discount += less
        nets.append(of_line - less)
        amounts.append((line.line_id, of_line, less))
    subtotal = gross - line_discount
    order_discount = compute_order_discount(subtotal, discount, decimals, rounding)
    shares = apportion(order_discount, nets, decimals)
    return Totals(
        gross,
        line_discount,
        subtotal,
        order_discount,
        subtotal - order_discount,
        tuple(
            LineTotals(*of_line, net, share)
            for of_line, net, share in zip(amounts, nets, shares, strict=True)
        ),
    )


def compute_order_discount(
    subtotal: Decimal, discount: OrderDiscount | None, decimals: int, rounding: Rounding
) -> Decimal:
    """Return what a discount on the whole order takes off the sum of its lines' net amounts, rounded."""
    percent = _ZERO if discount is None else discount.percent
    return round_money(subtotal * percent / _HUNDRED, decimals, rounding)


def _line_discount(gross: Decimal, discount: LineDiscount, decimals: int, rounding: Rounding) -> Decimal:
    if discount.amount is not None:
        return discount.amount
    return round_money(gross * (discount.percent or _ZERO) / _HUNDRED, decimals, rounding)
