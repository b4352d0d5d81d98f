"""Which currencies are money on which day: today's of ISO 4217's list one, and those withdrawn since 2000.

The library's table has today's only, and each renewal takes out what was withdrawn: old days would change
with it. So what was withdrawn stands here, as ISO 4217's list three has it, with the last day on which it was
the money of its country. A test holds the two together.
"""

from datetime import date
from typing import NamedTuple

from iso4217 import Currency

# Precious metals, test codes and the like have no minor unit: nothing can be sold in them.
_TODAYS: dict[str, int] = {
    currency.code: currency.exponent for currency in Currency if currency.exponent is not None
}


class Withdrawn(NamedTuple):
    """A currency that is no money any more: its decimals, and the last day on which it was."""

    decimals: int
    last_day: date


_EURO_CASH = date(2002, 2, 28)

WITHDRAWN = {
    # What the euro took the place of.
    "ATS": Withdrawn(2, _EURO_CASH),
    "BEF": Withdrawn(0, _EURO_CASH),
    "BGN": Withdrawn(2, date(2025, 12, 31)),
    "CYP": Withdrawn(2, date(2007, 12, 31)),
    "DEM": Withdrawn(2, _EURO_CASH),
    "EEK": Withdrawn(2, date(2010, 12, 31)),
    "ESP": Withdrawn(0, _EURO_CASH),
    "FIM": Withdrawn(2, _EURO_CASH),
    "FRF": Withdrawn(2, _EURO_CASH),
    "GRD": Withdrawn(0, _EURO_CASH),
    "HRK": Withdrawn(2, date(2022, 12, 31)),
    "IEP": Withdrawn(2, _EURO_CASH),
    "ITL": Withdrawn(0, _EURO_CASH),
    "LTL": Withdrawn(2, date(2014, 12, 31)),
    "LUF": Withdrawn(0, _EURO_CASH),
    "LVL": Withdrawn(2, date(2013, 12, 31)),
    "MTL": Withdrawn(2, date(2007, 12, 31)),
    "NLG": Withdrawn(2, _EURO_CASH),
    "PTE": Withdrawn(0, _EURO_CASH),
    "SIT": Withdrawn(2, date(2006, 12, 31)),
    "SKK": Withdrawn(2, date(2008, 12, 31)),
    # What others took the place of.
    "AFA": Withdrawn(2, date(2002, 12, 31)),
    "ANG": Withdrawn(2, date(2025, 6, 30)),
    "AZM": Withdrawn(2, date(2005, 12, 31)),
    "BYB": Withdrawn(0, date(2000, 12, 31)),
    "BYR": Withdrawn(0, date(2016, 12, 31)),
    "CSD": Withdrawn(2, date(2006, 10, 31)),
    "CUC": Withdrawn(2, date(2021, 6, 30)),
    "GHC": Withdrawn(2, date(2007, 12, 31)),
    "MGF": Withdrawn(0, date(2004, 12, 31)),
    "MRO": Withdrawn(2, date(2017, 12, 31)),
    "MZM": Withdrawn(2, date(2006, 12, 31)),
    "ROL": Withdrawn(2, date(2006, 12, 31)),
    "RUR": Withdrawn(2, date(2003, 12, 31)),
    "SDD": Withdrawn(2, date(2007, 6, 30)),
    "SLL": Withdrawn(2, date(2023, 12, 31)),
    "SRG": Withdrawn(2, date(2003, 12, 31)),
    "STD": Withdrawn(2, date(2017, 12, 31)),
    "TMM": Withdrawn(2, date(2008, 12, 31)),
    "TRL": Withdrawn(0, date(2005, 12, 31)),
    "VEB": Withdrawn(2, date(2007, 12, 31)),
    "VEF": Withdrawn(2, date(2018, 8, 19)),
    "YUM": Withdrawn(2, date(2003, 6, 30)),
    "ZMK": Withdrawn(2, date(2012, 12, 31)),
    "ZWD": Withdrawn(2, date(2008, 7, 31)),
    "ZWL": Withdrawn(2, date(2024, 8, 31)),
    "ZWR": Withdrawn(2, date(2009, 6, 30)),
}

CODES = sorted({*_TODAYS, *WITHDRAWN})


class NotMoney(ValueError):
    """A code that names no money on a day; the text says why."""


def usual_decimals(currency: str) -> int | None:
    """Return how many decimals an amount in a currency has, on whatever day; None for one nobody knows."""
    decimals = _TODAYS.get(currency)
    if decimals is None and currency in WITHDRAWN:
        return WITHDRAWN[currency].decimals
    return decimals


def minor_unit(currency: str, day: date) -> int:
    """Return how many decimals an amount in this ISO 4217 currency has on a day. Raises NotMoney."""
    if (decimals := _TODAYS.get(currency)) is not None:
        return decimals
    withdrawn = WITHDRAWN.get(currency)
    if withdrawn is None:
        raise NotMoney(f"The currency {currency} is not in ISO 4217, or it has no minor unit.")
    if day > withdrawn.last_day:
        raise NotMoney(f"The currency {currency} was withdrawn: it was money until {withdrawn.last_day}.")
    return withdrawn.decimals
