"""Version 1 of the stored events: the shapes of the founding document."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from orders import ORDER, Order, OrderConfirmed, decide, decode_event, initial_state
from orders.commands import AddItem, UndoLastChange
from orders.money import Rounding
from unit.orders.order_scenarios import ORDER_ID, command, fold

# Past midnight in Bangkok, and still the day before in UTC.
AT = datetime(2026, 11, 24, 3, 30, tzinfo=timezone(timedelta(hours=7)))
VERSION_1: list[tuple[str, dict[str, Any]]] = [
    ("OrderCreated", {"tenant_id": "store-1", "cashier_id": 5}),
    ("ItemAdded", {"product_id": 7, "name": "Tea", "quantity": 3, "unit_price": 19.99}),
    ("ItemAdded", {"product_id": 8, "name": "Cake", "quantity": 1, "unit_price": 0.1 + 0.2}),
    ("DiscountApplied", {"percent": 12.5, "authorised_by": 9}),
    ("OrderConfirmed", {"total": 52.73625}),
    ("OrderVoided", {"reason": "Customer cancelled", "authorised_by": 9}),
]


def lift(event_type: str, payload: dict[str, Any], version: int = 1) -> dict[str, Any]:
    return ORDER.upcasters[event_type, 1](payload, version, AT)


def replay(stored: list[tuple[str, dict[str, Any]]]) -> Order:
    order = initial_state("store-1", ORDER_ID)
    for version, (event_type, payload) in enumerate(stored, start=1):
        order = ORDER.evolve_stored(order, event_type, lift(event_type, payload, version), {}, AT)
    return order


@pytest.mark.parametrize(
    ("event", "lifted"),
    [
        (
            VERSION_1[0],
            {
                "cashier_id": "5",
                "currency": "THB",
                "minor_unit": 2,
                "rounding": "half_up",
                "business_day": "2026-11-23",
            },
        ),
        (
            VERSION_1[1],
            {"line_id": "4", "product_id": "7", "name": "Tea", "quantity": "3", "unit_price": "19.99"},
        ),
        (
            VERSION_1[2],
            {"line_id": "4", "product_id": "8", "name": "Cake", "quantity": "1", "unit_price": "0.30"},
        ),
        (VERSION_1[3], {"percent": "12.5", "authorised_by": "9"}),
        (VERSION_1[4], {"total": "52.74", "business_day": "2026-11-23", "hour": 20}),
        (VERSION_1[5], {"reason": "Customer cancelled", "authorised_by": "9"}),
    ],
)
def test_each_shape_is_lifted(event: tuple[str, dict[str, Any]], lifted: dict[str, Any]) -> None:
    """Numbers become strings, floats the money they meant, and what was not said gets its named default."""
    before = dict(event[1])
    assert lift(*event, version=4) == lifted
    assert event[1] == before
    decode_event(event[0], lifted, occurred_at=AT)


@pytest.mark.parametrize("percent", [1e-7, 1e2, 100, Decimal("33.333333333333336")])
def test_a_number_is_lifted_whatever_type_the_json_reader_gave(percent: float | Decimal) -> None:
    """Ints, floats and Decimals all become plain decimal text."""
    lifted = lift("DiscountApplied", {"percent": percent, "authorised_by": 9})["percent"]
    assert "E" not in lifted
    assert Decimal(lifted) == Decimal(str(percent))


def test_an_enormous_float_is_lifted() -> None:
    """Version 1 bounded nothing, and an old event is no reason to stop."""
    assert lift("OrderConfirmed", {"total": 1e300})["total"].endswith("0.00")


def test_an_old_order_folds() -> None:
    """An order of version 1 has lines, a discount, totals and a status like any other."""
    order = replay(VERSION_1)
    assert (order.status, order.confirmed, order.version) == ("voided", True, 6)
    assert (order.currency, order.minor_unit, order.rounding) == ("THB", 2, Rounding.HALF_UP)
    assert (order.business_day, order.hour) == (date(2026, 11, 23), 20)
    assert [line.line_id for line in order.lines] == ["2", "3"]
    assert order.totals.total == Decimal("52.74")


def test_an_old_open_order_goes_on() -> None:
    """New commands work on it: the next line gets the next number, and old changes can be undone."""
    order = replay(VERSION_1[:4])
    (added,) = decide(command(AddItem(product_id="7", name="Tea", quantity=1, unit_price=1)), order)
    assert added.data.model_dump()["line_id"] == "4"
    order = fold(order, (added,))
    for _ in range(4):
        order = fold(order, decide(command(UndoLastChange(), expected_version=order.version), order))
    assert (order.lines, order.discount) == ((), None)


def test_a_discount_after_the_end_is_folded() -> None:
    """Version 1 did not refuse a discount on a confirmed order: it counts, but can't be undone."""
    order = replay([*VERSION_1[:3], VERSION_1[4], VERSION_1[3]])
    assert (order.status, order.undo) == ("confirmed", ())
    assert order.discount is not None


def test_unknown_sums_stay_unknown() -> None:
    """Version 1 kept no subtotal and no discount; none are made up."""
    event = decode_event("OrderConfirmed", lift(*VERSION_1[4]), occurred_at=AT)
    assert isinstance(event.data, OrderConfirmed)
    assert (event.data.subtotal, event.data.discount) == (None, None)


def test_what_the_founding_document_stored_is_lifted() -> None:
    """Each of its types has a newer schema version; every type's own is in test_order_stored.py."""
    assert all(ORDER.schema_versions[event_type] > 1 for event_type, _ in VERSION_1)
