"""No field of an order, and none of an event, is told nowhere by oversight."""

from collections.abc import Collection
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from orders import Event, Line, LineTotals, Order, OrderConfirmed, OrderVoided, difference, evolve
from orders.described_fields import (
    DISCOUNT_FIELDS,
    LINE_AMOUNTS,
    LINE_FIELDS,
    NOT_DESCRIBED,
    ORDER_FIELDS,
    TOTALS,
)
from orders.events import (
    EVENT_MODELS,
    DiscountApplied,
    DiscountRemoved,
    EventData,
    ItemQuantityChanged,
    ItemRemoved,
    LineDiscountApplied,
    LineDiscountRemoved,
)
from orders.lines import LineDiscount, OrderDiscount
from orders.money import Rounding
from orders.totals import Totals
from readmodels.changed_fields import changed_fields
from unit.orders.order_scenarios import NOW, created, given, item

DESCRIBED: dict[type, Collection[str]] = {
    Order: ORDER_FIELDS,
    Line: LINE_FIELDS,
    OrderDiscount: DISCOUNT_FIELDS,
    LineDiscount: DISCOUNT_FIELDS,
    Totals: TOTALS,
    LineTotals: LINE_AMOUNTS,
}
OFF = {"authorised_by": "max", "reason": "late"}
TEN_OFF = DiscountApplied(percent=Decimal(10), **OFF)
LINE_OFF = LineDiscountApplied(line_id="1", amount=Decimal(1), **OFF)
OPEN = (created(), item(), item("2"))
SOLD = {"subtotal": 40, "discount": 0, "total": 40, "business_day": date(2026, 11, 23), "hour": 12}
# Of each type one event, with what went before it.
HAPPENED: dict[str, tuple[tuple[EventData, ...], EventData]] = {
    data.type: (before, data)
    for before, data in (
        ((), created()),
        (OPEN, item("3")),
        (OPEN, ItemRemoved(line_id="1")),
        (OPEN, ItemQuantityChanged(line_id="1", old=Decimal(2), new=Decimal(3))),
        (OPEN, TEN_OFF),
        ((*OPEN, TEN_OFF), DiscountRemoved()),
        (OPEN, LINE_OFF),
        ((*OPEN, LINE_OFF, LINE_OFF.model_copy(update={"line_id": "2"})), LineDiscountRemoved(line_id="1")),
        (OPEN, OrderConfirmed.model_validate(SOLD)),
        (OPEN, OrderVoided(reason="gone", authorised_by="max")),
    )
}
# Field → another value that it could have had.
OTHERWISE: dict[str, Any] = {
    "cashier_id": "eve",
    "currency": "EUR",
    "minor_unit": 0,
    "rounding": Rounding.DOWN,
    "business_day": date(2026, 11, 24),
    "line_id": "2",
    "product_id": "8",
    "name": "Rice",
    "quantity": Decimal(7),
    "unit_price": Decimal("3.00"),
    "position": 0,
    "old": Decimal(9),
    "new": Decimal(9),
    "percent": Decimal(20),
    "amount": Decimal(2),
    "authorised_by": "eve",
    "reason": "wet",
    "subtotal": Decimal(1),
    "discount": Decimal(1),
    "total": Decimal(1),
    "hour": 23,
}


def untold(kind: type, described: Collection[str], but: Collection[str]) -> set[str]:
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else kind._fields  # type: ignore[attr-defined]
    return {*names} - {*described} - {*but}


@pytest.mark.parametrize("kind", DESCRIBED)
def test_every_field_of_the_state_is_described_or_known_not_to_be(kind: type) -> None:
    """A field of an order stands in the list, or among those that are not told; none stands there in vain."""
    reasons = NOT_DESCRIBED[kind]
    assert not untold(kind, DESCRIBED[kind], reasons)
    assert not reasons.keys() & {*DESCRIBED[kind]}
    assert reasons.keys() <= untold(kind, (), ())


def test_a_forgotten_field_is_found() -> None:
    """A line that gets a field which no list names has one field too many."""

    @dataclass(frozen=True)
    class LineWithNote(Line):
        note: str = ""

    assert untold(LineWithNote, LINE_FIELDS, NOT_DESCRIBED[Line]) == {"note"}


@pytest.mark.parametrize("name", EVENT_MODELS)
def test_every_event_is_told(name: str) -> None:
    """What an event changes is in the audit trail and in the difference."""
    before, data = HAPPENED[name]
    state = given(*before).order
    after = evolve(state, Event(data, NOW))
    assert [*changed_fields([(state, after)])] != [({}, {})]
    assert any(difference(state, after)[2:])


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (name, field)
        for name, model in EVENT_MODELS.items()
        for field in model.model_fields
        if field != "type"
    ],
)
def test_every_field_of_an_event_is_told(name: str, field: str) -> None:
    """Another value in an event is seen in audit trail and difference, but where we say why not."""
    before, data = HAPPENED[name]
    state = given(*before).order
    other = data.model_copy(update={field: OTHERWISE[field]})
    one, two = (evolve(state, Event(each, NOW)) for each in (data, other))
    in_trail = [*changed_fields([(state, one)])] != [*changed_fields([(state, two)])]
    in_difference = difference(state, one) != difference(state, two)
    assert (in_trail and in_difference) == (field not in NOT_DESCRIBED.get(type(data), {}))
