"""A small data set in the place of the real one, and baskets with a wanted choice."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import pandas as pd

from demo.selection import Choice, choose

PRODUCTS = pd.DataFrame(
    [
        (1, "GROCERY", "MILK", "FLUID MILK", "1 GA"),
        (2, "PRODUCE", "APPLES", "APPLES GALA", None),
        (3, "FUEL", "FUEL", "GASOLINE", None),
        (4, "MISCELLANEOUS", None, None, None),
        (5, "GROCERY", "COUPON/MISC ITEMS", "COUPON", None),
    ],
    columns=["product_id", "department", "product_category", "product_type", "package_size"],
)
COLUMNS = [
    "basket_id",
    "store_id",
    "product_id",
    "quantity",
    "sales_value",
    "retail_disc",
    "coupon_disc",
    "coupon_match_disc",
    "transaction_timestamp",
]


def read_from(lines: Iterable[tuple[Any, ...]]) -> Callable[[str, list[str]], pd.DataFrame]:
    """Give what stands in for `dataset.read_table`; a line is a tuple in the order of COLUMNS."""
    tables = {"transactions": pd.DataFrame(lines, columns=COLUMNS), "products": PRODUCTS}

    def read_table(name: str, columns: list[str]) -> pd.DataFrame:
        return tables[name][columns].copy()

    return read_table


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(datetime.fromisoformat(text))


def basket_id_with(wanted: Callable[[Choice], bool], line_count: int) -> int:
    """Give a basket id whose choice, with so many lines, is as wanted."""
    return next(basket for basket in range(1, 100_000) if wanted(choose(basket, line_count)))
