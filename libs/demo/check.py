"""The comparison of the read models with the figures of the data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import asyncpg

from demo.expected import Figures, OrderFigures, SalesFigures, SalesKey
from demo.selection import CURRENCY
from queries import in_its_currency

_Key = TypeVar("_Key", bound=UUID | SalesKey)
_Figures = TypeVar("_Figures", OrderFigures, SalesFigures)

# Orders that somebody sends for another tenant, or in another currency, are none of the check's business; the
# documents' own are in euros.
_OURS = ("store-%", CURRENCY)

_ORDERS = """
SELECT order_id, tenant_id, status, cashier_id, currency, business_day, line_count, total
  FROM read_models.order_summary WHERE tenant_id LIKE $1 AND currency = $2
"""
_SALES = """
SELECT tenant_id, business_day, hour, cashier_id, currency, orders, gross, discount, net, voids
  FROM read_models.sales WHERE tenant_id LIKE $1 AND currency = $2
"""

# One with an undo.
_EXAMPLE = """
SELECT aggregate_id FROM order_events WHERE metadata ? 'undoes' AND aggregate_id = ANY ($1)
 ORDER BY aggregate_id LIMIT 1
"""


class RowDifference(NamedTuple):
    """One row that differs, by column. None on a side means that the side has no such row."""

    read_model: str
    key: str
    data_set: dict[str, object] | None
    found: dict[str, object] | None

    def __str__(self) -> str:
        """Return a sentence that names the columns that differ."""
        row = f"{self.read_model} {self.key}"
        if self.found is None:
            return f"{row} is missing"
        if self.data_set is None:
            return f"{row} is not in the data set"
        told = (
            f"{column} is {self.found[column]}, not {value}"
            for column, value in self.data_set.items()
            if self.found[column] != value
        )
        return f"{row}: {', '.join(told)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found. The sums are over all sales rows of a side."""

    orders: int
    orders_equal: int
    sales_rows: int
    sales_rows_equal: int
    data_set: SalesFigures
    read_models: SalesFigures
    differences: list[RowDifference]


async def read_figures(connection: asyncpg.Connection) -> Figures:
    """Return what the read models say about the demo's tenants, from one snapshot of the database."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        orders = await connection.fetch(_ORDERS, *_OURS)
        sales = await connection.fetch(_SALES, *_OURS)
    return Figures(
        orders={row[0]: OrderFigures(*row[1:]) for row in (_values(row, "total") for row in orders)},
        sales={
            SalesKey(*row[:5]): SalesFigures(*row[5:])
            for row in (_values(row, "gross", "discount", "net") for row in sales)
        },
    )


def _values(row: asyncpg.Record, *amounts: str) -> tuple[Any, ...]:
    return tuple(in_its_currency(row, *amounts).values())


async def find_example(connection: asyncpg.Connection, order_ids: Sequence[UUID]) -> UUID:
    """Return which of these orders, of which there is one at least, is worth looking at."""
    return await connection.fetchval(_EXAMPLE, order_ids) or order_ids[0]


def compare(data_set: Figures, read_models: Figures) -> Comparison:
    """Return every row that is on one side only, or not the same on both."""
    orders = _differences("order_summary", data_set.orders, read_models.orders)
    sales = _differences("sales", data_set.sales, read_models.sales)
    return Comparison(
        orders=len(data_set.orders),
        orders_equal=_equal(data_set.orders, read_models.orders),
        sales_rows=len(data_set.sales),
        sales_rows_equal=_equal(data_set.sales, read_models.sales),
        data_set=_sum(data_set.sales),
        read_models=_sum(read_models.sales),
        differences=orders + sales,
    )


def _differences(
    read_model: str, data_set: Mapping[_Key, _Figures], found: Mapping[_Key, _Figures]
) -> list[RowDifference]:
    keys = [*data_set, *(key for key in found if key not in data_set)]
    return [
        RowDifference(read_model, _told(key), _columns(data_set.get(key)), _columns(found.get(key)))
        for key in keys
        if data_set.get(key) != found.get(key)
    ]


def _columns(figures: OrderFigures | SalesFigures | None) -> dict[str, object] | None:
    return None if figures is None else figures._asdict()


def _equal(data_set: Mapping[_Key, object], found: Mapping[_Key, object]) -> int:
    return sum(found.get(key) == figures for key, figures in data_set.items())


def _told(key: object) -> str:
    return " ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _sum(sales: Mapping[SalesKey, SalesFigures]) -> SalesFigures:
    rows = sales.values()
    return SalesFigures(
        orders=sum(row.orders for row in rows),
        gross=sum((row.gross for row in rows), Decimal()),
        discount=sum((row.discount for row in rows), Decimal()),
        net=sum((row.net for row in rows), Decimal()),
        voids=sum(row.voids for row in rows),
    )
