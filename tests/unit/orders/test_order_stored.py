"""The stored spelling of events and snapshots: a change here breaks what lies in databases."""

import json
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import get_args, get_type_hints

import pytest

from orders import (
    EVENT_TYPES,
    ORDER,
    Event,
    Line,
    Order,
    OrderConfirmed,
    OrderVoided,
    decode_event,
    encode_event,
    event_metadata,
)
from orders.commands import RemoveItem
from orders.events import (
    DiscountApplied,
    DiscountRemoved,
    EventData,
    ItemOrDiscountChange,
    ItemQuantityChanged,
    ItemRemoved,
    LineDiscountApplied,
    LineDiscountRemoved,
)
from orders.lines import LineDiscount, OrderDiscount
from orders.order import Step
from unit.orders.order_scenarios import NOW, created, given, item

STORED: list[tuple[EventData, int, str]] = [
    (
        created(),
        2,
        '{"cashier_id":"5","currency":"THB","minor_unit":2,"rounding":"half_up","business_day":"2026-11-23"}',
    ),
    (item(), 2, '{"line_id":"1","product_id":"7","name":"Tea","quantity":"2","unit_price":"10.00"}'),
    (
        item(position=0),
        2,
        '{"line_id":"1","product_id":"7","name":"Tea","quantity":"2","unit_price":"10.00","position":0}',
    ),
    (ItemRemoved(line_id="1"), 1, '{"line_id":"1"}'),
    (
        ItemQuantityChanged(line_id="1", old=Decimal(2), new=Decimal("0.5")),
        1,
        '{"line_id":"1","old":"2","new":"0.5"}',
    ),
    (
        DiscountApplied(percent=Decimal(10), authorised_by="9", reason="staff"),
        2,
        '{"percent":"10","authorised_by":"9","reason":"staff"}',
    ),
    (DiscountRemoved(), 1, "{}"),
    (
        LineDiscountApplied(line_id="1", amount=Decimal("1.00"), authorised_by="9"),
        1,
        '{"line_id":"1","amount":"1.00","authorised_by":"9"}',
    ),
    (LineDiscountRemoved(line_id="1"), 1, '{"line_id":"1"}'),
    (
        OrderConfirmed(
            subtotal=Decimal("20.00"),
            discount=Decimal("2.00"),
            total=Decimal("18.00"),
            business_day=date(2026, 11, 23),
            hour=20,
        ),
        2,
        '{"subtotal":"20.00","discount":"2.00","total":"18.00","business_day":"2026-11-23","hour":20}',
    ),
    (OrderVoided(reason="mistake", authorised_by="9"), 2, '{"reason":"mistake","authorised_by":"9"}'),
]


@pytest.mark.parametrize(("data", "schema_version", "payload"), STORED)
def test_payloads_keep_their_spelling(data: EventData, schema_version: int, payload: str) -> None:
    """An event is stored under its type and schema version, with these fields, and reads back."""
    event = Event(data, NOW)
    assert encode_event(event) == (data.type, schema_version, payload)
    assert decode_event(data.type, json.loads(payload), occurred_at=NOW) == event


def test_every_event_has_a_stored_spelling() -> None:
    """No event is stored whose spelling isn't kept above."""
    assert {data.type for data, _, _ in STORED} == set(EVENT_TYPES)


def test_metadata_names_what_is_undone_and_redone() -> None:
    """An ordinary event has none; the others name versions, and read back."""
    assert event_metadata(Event(DiscountRemoved(), NOW)) == {}
    undone, redone = Event(DiscountRemoved(), NOW, undoes=(3,)), Event(DiscountRemoved(), NOW, redoes=(3,))
    assert (event_metadata(undone), event_metadata(redone)) == ({"undoes": [3]}, {"redoes": [3]})
    assert decode_event("DiscountRemoved", {}, occurred_at=NOW, undoes=[3]) == undone
    assert decode_event("DiscountRemoved", {}, occurred_at=NOW, redoes=[3]) == redone


def test_an_unknown_event_is_not_guessed() -> None:
    """An unknown type or field comes from a newer build, and stops an older one loudly."""
    with pytest.raises(LookupError):
        decode_event("OrderPaid", {}, occurred_at=NOW)
    with pytest.raises(ValueError, match="tip"):
        decode_event("ItemRemoved", {"line_id": "1", "tip": "1"}, occurred_at=NOW)


def test_snapshots_keep_their_spelling() -> None:
    """A snapshot has these fields, so that one is read back as it was written."""
    discount = LineDiscountApplied(line_id="1", amount=Decimal("1.00"), authorised_by="9")
    order = given(created(), item(), discount).after(RemoveItem(line_id="1")).order
    line = {"line_id": "1", "product_id": "7", "name": "Tea", "quantity": "2", "unit_price": "10.00"}
    discounted = line | {"discount": {"authorised_by": "9", "amount": "1.00"}}
    on_line = {"line_id": "1", "amount": "1.00", "authorised_by": "9"}
    assert json.loads(ORDER.dump_state(order)) == {
        "tenant_id": "store-1",
        "order_id": "00000000-0000-4000-8000-000000000001",
        "version": 4,
        "status": "open",
        "cashier_id": "5",
        "currency": "THB",
        "minor_unit": 2,
        "rounding": "half_up",
        "business_day": "2026-11-23",
        "confirmed": False,
        "lines": [],
        "next_line": 2,
        "undo": [
            {"version": 2, "change": {"type": "ItemAdded"} | line},
            {"version": 3, "change": {"type": "LineDiscountApplied"} | on_line, "line": line, "position": 0},
            {
                "version": 4,
                "change": {"type": "ItemRemoved", "line_id": "1"},
                "line": discounted,
                "position": 0,
            },
        ],
        "redo": [],
        "created_at": "2026-11-23T20:30:00Z",
        "updated_at": "2026-11-23T20:30:00Z",
    }


def test_another_shape_of_the_state_is_another_state_version() -> None:
    """A field more, or less, in what snapshots keep has its own state version: no build reads another's."""
    changes = get_args(get_args(ItemOrDiscountChange)[0])
    kept = [Order, Line, OrderDiscount, LineDiscount, Step, *changes]
    shape = json.dumps({part.__name__: get_type_hints(part) for part in kept}, sort_keys=True, default=str)
    # Where this fails: raise STATE_VERSION, then renew both.
    assert (ORDER.state_version, sha256(shape.encode()).hexdigest()[:12]) == (1, "340b88f50c1b")


def test_a_snapshot_that_is_none_is_refused() -> None:
    """A text that is no order raises, so that a damaged cache is not taken for a state."""
    with pytest.raises(ValueError, match="Order"):
        ORDER.load_state("{}")
