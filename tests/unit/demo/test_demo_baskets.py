"""Reading baskets from the data set."""

from collections.abc import Sequence

import pytest

from demo import baskets
from demo.baskets import BasketLine, read_baskets
from unit.demo.made_up import at, read_from

NOON = at("2017-03-01T12:00:00")


def read(
    monkeypatch: pytest.MonkeyPatch, lines: Sequence[tuple[object, ...]], limit: int | None = None
) -> list[baskets.Basket]:
    monkeypatch.setattr(baskets, "read_table", read_from(lines))
    count, found = read_baskets(limit)
    result = list(found)
    assert count == len(result)
    return result


def test_a_whole_unit_price_is_kept_and_another_extended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A price is (sales value + discounts) / quantity; not whole cents, it is one at the extended price."""
    (basket,) = read(
        monkeypatch,
        [
            (1, 330, 1, 2, 2.78, 0.80, 0.0, 0.10, NOON),
            (1, 330, 2, 3, 1.00, 0.00, 9.99, 0.00, NOON),
            (1, 330, 99, 1, 0.29, 0.00, 0.0, 0.00, NOON),
        ],
    )
    assert basket.lines == (
        BasketLine("1", "FLUID MILK, 1 GA", 2, 184, 90),
        BasketLine("2", "APPLES GALA", 1, 100, 0),
        BasketLine("99", "product 99", 1, 29, 0),
    )
    assert basket.store_id == 330
    assert basket.paid_at.isoformat() == "2017-03-01T12:00:00+00:00"


def test_what_is_no_sale_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of quantity 0, of fuel, miscellaneous departments and the coupon category make no line."""
    found = read(
        monkeypatch,
        [
            (1, 330, 1, 0, 0.00, 0.0, 0.0, 0.0, NOON),
            (1, 330, 3, 9000, 20.00, 0.0, 0.0, 0.0, NOON),
            (2, 330, 4, 1, 1.00, 0.0, 0.0, 0.0, NOON),
            (2, 330, 5, 1, 1.00, 0.0, 0.0, 0.0, NOON),
            (2, 330, 1, 1, 1.00, 0.0, 0.0, 0.0, NOON),
        ],
    )
    assert [(basket.basket_id, len(basket.lines)) for basket in found] == [(2, 1)]


def test_baskets_come_by_time_then_id_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first N baskets are the first by time and basket id, each with all its lines in the given order."""
    earlier = at("2017-02-28T12:00:00")
    lines = [
        (9, 330, 1, 1, 1.00, 0.0, 0.0, 0.0, NOON),
        (4, 330, 2, 1, 1.00, 0.0, 0.0, 0.0, NOON),
        (7, 330, 1, 1, 1.00, 0.0, 0.0, 0.0, earlier),
        (4, 330, 1, 1, 1.00, 0.0, 0.0, 0.0, NOON),
    ]
    assert [basket.basket_id for basket in read(monkeypatch, lines)] == [7, 4, 9]
    first, second = read(monkeypatch, lines, limit=2)
    assert (first.basket_id, second.basket_id) == (7, 4)
    assert [line.product_id for line in second.lines] == ["2", "1"]
