"""The figures that must come out, computed from the data set by grouping, without the code under check."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from demo.dataset import LEFT_OUT_CATEGORY, LEFT_OUT_DEPARTMENTS, TRANSACTION_COLUMNS, read_table
from demo.selection import CURRENCY, cashier_of, choose, order_id_of, tenant_of

if TYPE_CHECKING:
    import pandas as pd


class OrderFigures(NamedTuple):
    """One order as the read model must have it."""

    tenant_id: str
    status: str
    cashier_id: str
    currency: str
    business_day: date
    line_count: int
    total: Decimal


class SalesKey(NamedTuple):
    """What sales are summed by; `hour` is 0 to 23 of the business day's clock."""

    tenant_id: str
    business_day: date
    hour: int
    cashier_id: str
    currency: str


class SalesFigures(NamedTuple):
    """The sums of one sales row; what was voided is in `voids` only."""

    orders: int
    gross: Decimal
    discount: Decimal
    net: Decimal
    voids: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One side of the comparison."""

    orders: dict[UUID, OrderFigures]
    sales: dict[SalesKey, SalesFigures]


def expected_figures(loaded: int, present: Collection[UUID]) -> Figures:
    """Return the figures of the first `loaded` baskets, and of later ones up to the last that is present.

    `present` are ids of orders: an earlier load may have been a larger one. Amounts have two places.
    """
    lines = _lines()
    firsts = lines.drop_duplicates("basket_id").sort_values(["transaction_timestamp", "basket_id"])
    baskets_in_order: list[int] = firsts["basket_id"].tolist()
    places = enumerate(baskets_in_order, start=1)
    last_present = max((place for place, basket in places if order_id_of(basket) in present), default=0)
    wanted = baskets_in_order[: max(loaded, last_present)]
    lines = lines[lines["basket_id"].isin(wanted)].copy()
    lines["line"] = lines.groupby("basket_id").cumcount()
    counts = Counter[int](lines["basket_id"].tolist())
    choices = {basket: choose(basket, count) for basket, count in counts.items()}
    removed = {basket: choice.line for basket, choice in choices.items()}
    voided = {basket: choice.voided for basket, choice in choices.items()}
    lines = lines[lines["line"] != lines["basket_id"].map(removed)].copy()
    lines["net"] = _cents(lines["sales_value"])
    lines["discount"] = _cents(lines["retail_disc"] + lines["coupon_match_disc"])
    baskets = lines.groupby("basket_id", as_index=False).agg(
        store_id=("store_id", "first"),
        at=("transaction_timestamp", "first"),
        line_count=("line", "size"),
        net=("net", "sum"),
        discount=("discount", "sum"),
    )
    baskets["voided"] = baskets["basket_id"].map(voided)
    baskets["hour"] = baskets["at"].dt.hour
    baskets["business_day"] = baskets["at"].dt.date
    baskets["tenant_id"] = baskets["store_id"].map(tenant_of)
    baskets["cashier_id"] = [
        cashier_of(store, hour) for store, hour in zip(baskets["store_id"], baskets["hour"], strict=True)
    ]
    return Figures(_orders(baskets), _sales(baskets))


def _lines() -> "pd.DataFrame":
    products = read_table("products", ["product_id", "department", "product_category"])
    lines = read_table("transactions", TRANSACTION_COLUMNS).merge(products, "left", "product_id")
    unwanted = (
        (lines["quantity"] == 0)
        | lines["department"].isin(LEFT_OUT_DEPARTMENTS)
        | (lines["product_category"] == LEFT_OUT_CATEGORY)
    )
    return lines[~unwanted]


def _cents(dollars: "pd.Series[float]") -> "pd.Series[int]":
    return (dollars * 100).round().astype("int64")


def _orders(baskets: "pd.DataFrame") -> dict[UUID, OrderFigures]:
    return {
        order_id_of(basket["basket_id"]): OrderFigures(
            tenant_id=basket["tenant_id"],
            status="voided" if basket["voided"] else "confirmed",
            cashier_id=basket["cashier_id"],
            currency=CURRENCY,
            business_day=basket["business_day"],
            line_count=basket["line_count"],
            total=_dollars(basket["net"]),
        )
        for basket in baskets.to_dict("records")
    }


def _sales(baskets: "pd.DataFrame") -> dict[SalesKey, SalesFigures]:
    kept = ~baskets["voided"]
    rows = (
        baskets.assign(orders=kept, net=baskets["net"] * kept, discount=baskets["discount"] * kept)
        .groupby(["tenant_id", "business_day", "hour", "cashier_id"], as_index=False)
        .agg({"orders": "sum", "net": "sum", "discount": "sum", "voided": "sum"})
    )
    return {
        SalesKey(
            row["tenant_id"], row["business_day"], row["hour"], row["cashier_id"], CURRENCY
        ): SalesFigures(
            orders=row["orders"],
            gross=_dollars(row["net"] + row["discount"]),
            discount=_dollars(row["discount"]),
            net=_dollars(row["net"]),
            voids=row["voided"],
        )
        for row in rows.to_dict("records")
    }


def _dollars(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)
