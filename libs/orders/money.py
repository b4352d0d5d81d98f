"""Money: amounts on the grid of a currency's minor unit, and how they are rounded and shared out.

Amounts are Decimals. The bounds of the fields keep every product below 28 digits, so arithmetic is exact
until the one rounding.
"""

from collections.abc import Sequence
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from enum import StrEnum


class Rounding(StrEnum):
    """How an amount between two minor units is rounded. Stored: version with care."""

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    DOWN = "down"


_MODES = {
    Rounding.HALF_UP: ROUND_HALF_UP,
    Rounding.HALF_EVEN: ROUND_HALF_EVEN,
    Rounding.DOWN: ROUND_DOWN,
}
_STEPS = tuple(Decimal((0, (1,), -decimals)) for decimals in range(7))
_NOTHING = tuple(0 * step for step in _STEPS)


def no_money(decimals: int) -> Decimal:
    """Return zero as an amount with so many decimals: sums begun with a bare 0 may print without them."""
    return _NOTHING[decimals]


def round_money(amount: Decimal, decimals: int, rounding: Rounding) -> Decimal:
    """Return the amount rounded to so many decimals."""
    return amount.quantize(_STEPS[decimals], _MODES[rounding])


def on_grid(amount: Decimal, decimals: int) -> Decimal | None:
    """Return the amount written with exactly so many decimals, or None if it is finer than that."""
    written = amount.quantize(_STEPS[decimals])
    return written if written == amount else None


def apportion(whole: Decimal, weights: Sequence[Decimal], decimals: int) -> tuple[Decimal, ...]:
    """Share out `whole` in proportion to `weights`, in minor units, so that the shares sum to it exactly.

    Largest remainder (Hamilton's method); equal remainders go by position. All amounts have `decimals`
    decimals, 0 <= whole <= sum(weights). No share is greater than its weight.
    """
    step = _STEPS[decimals]
    if not whole:
        return (whole,) * len(weights)
    units = int(whole.scaleb(decimals))
    parts = [int(weight.scaleb(decimals)) for weight in weights]
    total = sum(parts)
    quotients, remainders = zip(*(divmod(units * part, total) for part in parts), strict=True)
    shares = list(quotients)
    # sorted() is stable, so ties keep their position.
    by_remainder = sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)
    for index in by_remainder[: units - sum(shares)]:
        shares[index] += 1
    return tuple(share * step for share in shares)
