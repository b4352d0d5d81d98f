"""What holds for every history of an order."""

import json
from dataclasses import fields, replace
from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from orders import (
    ORDER,
    Order,
    canonical_json,
    decode_event,
    encode_event,
    event_metadata,
    initial_state,
    parse_command,
)
from orders.commands import CommandData, RedoLastChange, UndoLastChange
from orders.money import apportion
from unit.orders.order_scenarios import ORDER_ID, Scenario
from unit.orders.order_strategies import COMMANDS, HISTORIES, OPEN_ORDERS, ORDERS, PRICES, commands_of

IDEMPOTENT = commands_of(
    [
        "ChangeItemQuantity",
        "ApplyDiscount",
        "RemoveDiscount",
        "ApplyLineDiscount",
        "RemoveLineDiscount",
        "ConfirmOrder",
    ]
)
NEW_CHANGES = commands_of(
    ["AddItem", "RemoveItem", "ApplyDiscount", "ApplyLineDiscount"]
) | IDEMPOTENT.filter(lambda data: data.type != "ConfirmOrder")


@given(ORDERS, COMMANDS, st.booleans())
def test_what_is_decided_can_be_folded(order: Order, data: CommandData, seen: bool) -> None:
    """A refusal says why; else the events fold, one version each, into an order with all its fields."""
    outcome = Scenario(order).when(data, expected_version=order.version if seen else None)
    after = outcome.after
    assert after.version == order.version + len(outcome.events)
    assert outcome.rejection is None or outcome.rejection.message
    assert vars(after).keys() == {field.name for field in fields(Order)}


@given(ORDERS)
def test_totals_are_the_sums_of_the_lines(order: Order) -> None:
    """To the cent: every sum equals its parts, and no line is discounted below 0."""
    totals = order.totals
    assert totals.gross == sum(line.gross for line in totals.lines)
    assert totals.line_discount == sum(line.discount for line in totals.lines)
    assert totals.subtotal == sum(line.net for line in totals.lines) == totals.gross - totals.line_discount
    assert totals.order_discount == sum(line.order_discount for line in totals.lines)
    assert totals.total == totals.subtotal - totals.order_discount
    assert all(line.net == line.gross - line.discount for line in totals.lines)
    assert all(0 <= line.order_discount <= line.net <= line.gross for line in totals.lines)
    amounts = [*totals[:5], *(amount for line in totals.lines for amount in line[1:])]
    assert {amount.as_tuple().exponent for amount in amounts} == {-order.minor_unit}


@given(st.lists(PRICES, min_size=1, max_size=30), st.decimals(0, 100, places=2))
def test_shares_sum_to_the_whole(weights: list[Decimal], percent: Decimal) -> None:
    """Sharing out loses and makes no cent, and gives each its exact share to within one."""
    whole = (sum(weights, Decimal(0)) * percent / 100).quantize(Decimal("0.01"))
    shares = apportion(whole, weights, 2)
    assert sum(shares) == whole
    if whole:
        exact = [whole * weight / sum(weights) for weight in weights]
        assert all(abs(share - part) < Decimal("0.01") for share, part in zip(shares, exact, strict=True))


@given(OPEN_ORDERS)
def test_undo_then_redo_is_the_identity(order: Order) -> None:
    """Everything is as it was, stacks included, but the version and the time of the last event."""
    assume(order.undo)
    redone = Scenario(order).after(UndoLastChange()).after(RedoLastChange()).order
    assert replace(redone, version=order.version, updated_at=order.updated_at) == order


@given(OPEN_ORDERS, NEW_CHANGES)
def test_undo_takes_the_last_change_back(order: Order, data: CommandData) -> None:
    """Lines, discount and the steps below are as they were before the change."""
    changed = Scenario(order).when(data).after
    assume(changed.version > order.version)
    undone = Scenario(changed).after(UndoLastChange()).order
    assert (undone.lines, undone.discount, undone.undo) == (order.lines, order.discount, order.undo)


@given(OPEN_ORDERS, IDEMPOTENT)
def test_what_is_done_already_gives_no_events(order: Order, data: CommandData) -> None:
    """The same command on the order it made changes nothing more."""
    outcome = Scenario(order).when(data)
    assume(outcome.rejection is None)
    Scenario(outcome.after).when(data).then()


@given(COMMANDS)
def test_commands_survive_json(data: CommandData) -> None:
    """A command's canonical JSON reads back as the same command, and is canonical already."""
    text = canonical_json(data)
    again = parse_command(data.type, json.loads(text))
    assert again == data
    assert canonical_json(again) == text


@given(HISTORIES, st.lists(COMMANDS, max_size=2))
def test_stored_events_fold_to_the_same_order(history: list[CommandData], more: list[CommandData]) -> None:
    """Encoding and decoding gives the same event, and folding what is stored gives the same order."""
    order = stored = initial_state("store-1", ORDER_ID)
    for data in [*history, *more]:
        outcome = Scenario(order).when(data, expected_version=order.version)
        for event in outcome.events:
            event_type, schema_version, payload = encode_event(event)
            metadata = json.loads(json.dumps(event_metadata(event)))
            assert schema_version == ORDER.schema_versions[event_type]
            assert (
                decode_event(event_type, json.loads(payload), occurred_at=event.occurred_at, **metadata)
                == event
            )
            stored = ORDER.evolve_stored(stored, event_type, json.loads(payload), metadata, event.occurred_at)
        order = outcome.after
    assert stored == order
    assert ORDER.version(stored) == order.version


@given(ORDERS)
def test_snapshots_give_the_same_order(order: Order) -> None:
    """A state written and read again is equal, stacks and all, and so are its totals."""
    again = ORDER.load_state(ORDER.dump_state(order))
    assert again == order
    assert str(again.totals) == str(order.totals)
