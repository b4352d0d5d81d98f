"""Baskets of the data set, in a stable order."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from demo.dataset import LEFT_OUT_CATEGORY, LEFT_OUT_DEPARTMENTS, TRANSACTION_COLUMNS, read_table

if TYPE_CHECKING:
    import pandas as pd


class BasketLine(NamedTuple):
    """One line as it is rung up: `price_cents` for one of `quantity`, `discount_cents` off the whole line."""

    product_id: str
    name: str
    quantity: int
    price_cents: int
    discount_cents: int


class Basket(NamedTuple):
    """One visit to a till. `paid_at` is when it was paid, UTC; it has at least one line."""

    basket_id: int
    store_id: int
    paid_at: datetime
    lines: tuple[BasketLine, ...]


def read_baskets(limit: int | None = None) -> tuple[int, Iterator[Basket]]:
    """Return how many baskets come, and the first `limit` (default all) by time paid, then basket id.

    Left out: lines of quantity 0, fuel, and what is no product (see `dataset`). Coupons are not applied.
    """
    lines = read_table("transactions", TRANSACTION_COLUMNS)
    products = read_table(
        "products", ["product_id", "department", "product_category", "product_type", "package_size"]
    )
    left_out = products["department"].isin(LEFT_OUT_DEPARTMENTS) | (
        products["product_category"] == LEFT_OUT_CATEGORY
    )
    # A product that the products table doesn't know stays in.
    lines = lines[(lines["quantity"] > 0) & ~lines["product_id"].isin(products["product_id"][left_out])]
    lines = lines.sort_values(["transaction_timestamp", "basket_id"], kind="stable")
    order = lines["basket_id"].unique()
    if limit is not None and limit < len(order):
        order = order[:limit]
        lines = lines[lines["basket_id"].isin(order)]
    return len(order), _baskets(lines, _names(products))


def _names(products: "pd.DataFrame") -> dict[int, str]:
    """Return product id → its kind and package size, as far as they are known."""
    kinds = products["product_type"].fillna(products["product_category"]).fillna("").tolist()
    sizes = products["package_size"].fillna("").tolist()
    return {
        product_id: f"{kind}, {size}" if size else kind
        for product_id, kind, size in zip(products["product_id"].tolist(), kinds, sizes, strict=True)
        if kind
    }


class _Row(NamedTuple):
    basket_id: int
    store_id: int
    product_id: int
    quantity: int
    sales_value: float
    retail_disc: float
    coupon_match_disc: float
    paid_at: "pd.Timestamp"


def _baskets(lines: "pd.DataFrame", names: dict[int, str]) -> Iterator[Basket]:
    columns: Sequence[list[object]] = [lines[column].tolist() for column in lines.columns]
    rows = map(_Row, *columns)
    for basket_id, of_basket in groupby(rows, key=attrgetter("basket_id")):
        of_one = list(of_basket)
        yield Basket(
            basket_id=basket_id,
            store_id=of_one[0].store_id,
            paid_at=of_one[0].paid_at.to_pydatetime().replace(tzinfo=UTC),
            lines=tuple(_line(row, names) for row in of_one),
        )


def _line(row: _Row, names: dict[int, str]) -> BasketLine:
    # The amounts are whole cents stored as floats: rounding restores them exactly.
    discount = round((row.retail_disc + row.coupon_match_disc) * 100)
    gross = round(row.sales_value * 100) + discount
    price, rest = divmod(gross, row.quantity)
    quantity, price = (1, gross) if rest else (row.quantity, price)
    name = names.get(row.product_id, f"product {row.product_id}")
    return BasketLine(str(row.product_id), name, quantity, price, discount)
