"""What the demo makes up beside the data: who works when, and which baskets are corrected or voided.

Everything follows from the basket or the store alone, so that loading twice gives the same commands and the
check can know what to expect without asking the code it checks.
"""

from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple
from uuid import NAMESPACE_DNS, UUID, uuid5

CURRENCY = "USD"
VOIDED_PER_MILLE = 10
CORRECTED_PER_MILLE = 20
CASHIERS_PER_STORE = 6

_BASKETS = uuid5(NAMESPACE_DNS, "baskets.demo.tillstream")


class Correction(StrEnum):
    """What happens to an order before it is confirmed."""

    none = "none"
    removal = "removal"
    """One line is removed again: the customer changed their mind."""
    undo = "undo"
    """The last line is scanned a second time by mistake, and that is undone: the totals stay the basket's."""


class Choice(NamedTuple):
    """What is made up for one basket. `line` is the index of the line a removal takes, else -1."""

    voided: bool
    correction: Correction
    line: int


def choose(basket_id: int, line_count: int) -> Choice:
    """Choose for a basket of `line_count` (at least 1) lines; a removal never empties the order."""
    void, correct, kind, line = _numbers(f"basket {basket_id}")
    if correct % 1000 >= CORRECTED_PER_MILLE:
        correction = Correction.none
    elif line_count > 1 and kind % 2:
        correction = Correction.removal
    else:
        correction = Correction.undo
    removed = line % line_count if correction is Correction.removal else -1
    return Choice(void % 1000 < VOIDED_PER_MILLE, correction, removed)


def order_id_of(basket_id: int) -> UUID:
    """Return the order id of a basket: always the same."""
    return uuid5(_BASKETS, str(basket_id))


def tenant_of(store_id: int) -> str:
    """Return the tenant that a store is."""
    return f"store-{store_id}"


def cashier_of(store_id: int, hour: int) -> str:
    """Return who sits at the store's till in an hour of the day (0 to 23): the same person every day."""
    return f"cashier-{store_id}-{1 + _numbers(f'store {store_id} hour {hour}')[0] % CASHIERS_PER_STORE}"


def manager_of(store_id: int) -> str:
    """Return who authorises discounts and voids in a store."""
    return f"manager-{store_id}"


def _numbers(seed: str) -> tuple[int, int, int, int]:
    digest = blake2b(f"tillstream demo {seed}".encode(), digest_size=32).digest()
    first, second, third, fourth = (int.from_bytes(digest[at : at + 8]) for at in range(0, 32, 8))
    return first, second, third, fourth
