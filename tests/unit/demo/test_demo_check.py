"""The figures of the data set, and the comparison with the read models."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from demo import expected
from demo.check import compare
from demo.expected import Figures, OrderFigures, SalesFigures, SalesKey, expected_figures
from demo.selection import Choice, Correction, cashier_of, order_id_of
from unit.demo.made_up import at, basket_id_with, read_from


def plain(choice: Choice) -> bool:
    return not choice.voided and choice.correction is Correction.none


KEPT = basket_id_with(plain, 2)
CORRECTED = basket_id_with(lambda choice: not choice.voided and choice.line == 1, 2)
VOIDED = basket_id_with(lambda choice: choice.voided and choice.correction is Correction.none, 1)
LEFT = basket_id_with(plain, 1) + 10**9
DAY = date(2017, 3, 1)
CASHIER = cashier_of(330, 12)


@pytest.fixture
def four_baskets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put four baskets of one store and hour in the place of the data set."""
    paid_at = at("2017-03-01T12:30:00")
    monkeypatch.setattr(
        expected,
        "read_table",
        read_from(
            [
                (KEPT, 330, 1, 2, 2.78, 0.80, 5.00, 0.10, paid_at),
                (KEPT, 330, 99, 3, 1.00, 0.00, 0.00, 0.00, paid_at),
                (KEPT, 330, 3, 900, 30.00, 0.00, 0.00, 0.00, paid_at),
                (CORRECTED, 330, 1, 1, 0.29, 0.01, 0.00, 0.00, paid_at),
                (CORRECTED, 330, 2, 1, 7.00, 0.50, 0.00, 0.00, paid_at),
                (VOIDED, 330, 1, 1, 4.00, 1.00, 0.00, 0.00, paid_at),
                (LEFT, 330, 1, 1, 4.00, 1.00, 0.00, 0.00, paid_at),
            ]
        ),
    )


@pytest.fixture
def figures(four_baskets: None) -> Figures:  # noqa: ARG001 - the data set that it reads
    """Give the figures of the first three baskets."""
    return expected_figures(3, ())


def test_orders_are_summed_in_whole_cents(figures: Figures) -> None:
    """An order's figures are those of its baskets' lines, without what is no sale or was removed."""
    order = OrderFigures("store-330", "confirmed", CASHIER, "USD", DAY, 2, Decimal("3.78"))
    assert figures.orders == {
        order_id_of(KEPT): order,
        order_id_of(CORRECTED): order._replace(line_count=1, total=Decimal("0.29")),
        order_id_of(VOIDED): order._replace(status="voided", line_count=1, total=Decimal("4.00")),
    }


def test_sales_leave_voided_orders_out(figures: Figures) -> None:
    """A sales row sums the confirmed orders of its hour; a voided one counts among its voids only."""
    assert figures.sales == {
        SalesKey("store-330", DAY, 12, CASHIER, "USD"): SalesFigures(
            2, Decimal("4.98"), Decimal("0.91"), Decimal("4.07"), 1
        )
    }


@pytest.mark.usefixtures("four_baskets")
def test_an_earlier_larger_load_is_expected_too() -> None:
    """Baskets past the wanted number are expected up to the last one that is present."""
    assert expected_figures(1, {order_id_of(max(KEPT, CORRECTED, VOIDED))}) == expected_figures(3, ())
    assert len(expected_figures(1, {order_id_of(LEFT)}).orders) == 4
    assert len(expected_figures(1, ()).orders) == 1


def test_equal_sides_compare_equal(figures: Figures) -> None:
    """The same figures on both sides, however their decimals are written, are no difference."""
    other = replace(
        figures,
        orders={
            key: row._replace(total=row.total.quantize(Decimal("0.0001")))
            for key, row in figures.orders.items()
        },
    )
    comparison = compare(figures, other)
    assert comparison.differences == []
    assert (comparison.orders, comparison.orders_equal) == (3, 3)
    assert (
        comparison.data_set
        == comparison.read_models
        == SalesFigures(2, Decimal("4.98"), Decimal("0.91"), Decimal("4.07"), 1)
    )


@pytest.mark.parametrize(
    "planted", [{"total": Decimal("3.79")}, {"status": "open"}, {"line_count": 1}, {"tenant_id": "store-331"}]
)
def test_a_planted_difference_of_an_order_is_found(figures: Figures, planted: dict[str, Any]) -> None:
    """One order that differs in one figure is named."""
    key = order_id_of(KEPT)
    orders = {**figures.orders, key: figures.orders[key]._replace(**planted)}
    comparison = compare(figures, replace(figures, orders=orders))
    assert [(found.read_model, found.key) for found in comparison.differences] == [
        ("order_summary", str(key))
    ]
    ((column, value),) = planted.items()
    assert f"{column} is {value}, not " in str(comparison.differences[0])
    assert comparison.orders_equal == 2


def test_a_missing_order_and_one_too_many_are_found(figures: Figures) -> None:
    """A row that only one side has is a difference, whichever side it is."""
    orders = dict(figures.orders)
    row = orders.pop(order_id_of(KEPT))
    comparison = compare(figures, replace(figures, orders={**orders, order_id_of(LEFT): row}))
    assert [(found.data_set, found.found) for found in comparison.differences] == [
        (row._asdict(), None),
        (None, row._asdict()),
    ]
    assert [str(found) for found in comparison.differences] == [
        f"order_summary {order_id_of(KEPT)} is missing",
        f"order_summary {order_id_of(LEFT)} is not in the data set",
    ]


@pytest.mark.parametrize("column", SalesFigures._fields)
def test_a_planted_difference_in_sales_is_found(figures: Figures, column: str) -> None:
    """One sales row that differs in one column is named."""
    ((key, row),) = figures.sales.items()
    planted = row._replace(**{column: getattr(row, column) + 1})
    comparison = compare(figures, replace(figures, sales={key: planted}))
    assert [(found.read_model, found.data_set, found.found) for found in comparison.differences] == [
        ("sales", row._asdict(), planted._asdict())
    ]
