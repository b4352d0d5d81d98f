"""Undo and redo."""

from decimal import Decimal

import pytest

from orders import Event, RejectionCode, evolve
from orders.commands import (
    AddItem,
    ApplyDiscount,
    ApplyLineDiscount,
    ChangeItemQuantity,
    CommandData,
    RedoLastChange,
    RemoveDiscount,
    RemoveItem,
    RemoveLineDiscount,
    UndoLastChange,
)
from orders.events import (
    DiscountApplied,
    DiscountRemoved,
    EventData,
    ItemQuantityChanged,
    ItemRemoved,
    LineDiscountApplied,
    LineDiscountRemoved,
)
from orders.order import MAX_STEPS
from unit.orders.order_scenarios import ORDER_ID, created, given, item

TEN = DiscountApplied(percent=Decimal(10), authorised_by="9", reason="staff")
LINE_FIVE = LineDiscountApplied(line_id="2", amount=Decimal("5.00"), authorised_by="9", reason="dented")
ORDER = (created(), item("1"), item("2"), item("3"), LINE_FIVE, TEN)
NEXT = len(ORDER) + 1

CHANGES: list[tuple[CommandData, tuple[EventData, ...]]] = [
    (
        AddItem(product_id="7", name="Tea", quantity="2", unit_price="10"),
        (ItemRemoved(line_id="4"),),
    ),
    (RemoveItem(line_id="2"), (item("2", position=1), LINE_FIVE)),
    (RemoveItem(line_id="3"), (item("3", position=2),)),
    (
        ChangeItemQuantity(line_id="1", quantity="7"),
        (ItemQuantityChanged(line_id="1", old=Decimal(7), new=Decimal(2)),),
    ),
    (ApplyDiscount(percent="20", authorised_by="8"), (TEN,)),
    (RemoveDiscount(), (TEN,)),
    (ApplyLineDiscount(line_id="2", percent="50", authorised_by="8"), (LINE_FIVE,)),
    (ApplyLineDiscount(line_id="1", percent="50", authorised_by="8"), (LineDiscountRemoved(line_id="1"),)),
    (RemoveLineDiscount(line_id="2"), (LINE_FIVE,)),
]


@pytest.mark.parametrize(("change", "compensation"), CHANGES)
def test_undo_brings_back_what_was(change: CommandData, compensation: tuple[EventData, ...]) -> None:
    """Compensating events restore the line's id, position and discount, and name the change they undo."""
    before = given(*ORDER)
    changed = before.after(change)
    order = changed.when(UndoLastChange(), expected_version=NEXT).then(*compensation, undoes=(NEXT,))
    assert (order.lines, order.discount, order.undo) == (
        before.order.lines,
        before.order.discount,
        before.order.undo,
    )
    assert order.version == NEXT + len(compensation)


@pytest.mark.parametrize(("change", "compensation"), CHANGES)
def test_redo_does_the_change_again(change: CommandData, compensation: tuple[EventData, ...]) -> None:
    """Redo records the change's own event once more, and names the version that first made it."""
    changed = given(*ORDER).after(change)
    undone = changed.after(UndoLastChange())
    again = given(*ORDER).when(change).events[0].data
    order = undone.when(RedoLastChange(), expected_version=NEXT + len(compensation)).then(
        again, redoes=(NEXT,)
    )
    assert (order.lines, order.discount, order.undo, order.redo) == (
        changed.order.lines,
        changed.order.discount,
        changed.order.undo,
        (),
    )


def test_a_first_discount_is_undone_by_removing_it() -> None:
    """Where no discount stood before, none stands after the undo."""
    order = given(created()).after(ApplyDiscount(percent="10", authorised_by="9"))
    order.when(UndoLastChange(), expected_version=2).then(DiscountRemoved(), undoes=(2,))


def test_changes_are_undone_last_first() -> None:
    """Undo goes back change by change and redo forward again, each change named by its first version."""
    order = given(created(), item("1"), item("2"))
    order = order.after(UndoLastChange())
    order.when(UndoLastChange(), expected_version=4).then(ItemRemoved(line_id="1"), undoes=(2,))
    order = order.after(UndoLastChange()).after(RedoLastChange())
    order.when(RedoLastChange(), expected_version=6).then(item("2"), redoes=(3,))
    order.after(RedoLastChange()).when(UndoLastChange(), expected_version=7).then(
        ItemRemoved(line_id="2"), undoes=(3,)
    )


def test_a_new_change_clears_the_redo_stack() -> None:
    """What was undone can't be redone on top of something else."""
    order = given(*ORDER).after(UndoLastChange()).after(RemoveItem(line_id="1"))
    order.when(RedoLastChange(), expected_version=order.order.version).then_rejected(
        RejectionCode.NOTHING_TO_REDO
    )


def test_a_change_that_is_made_already_keeps_the_redo_stack() -> None:
    """No event, no new change: redo is still there."""
    order = given(*ORDER).after(ChangeItemQuantity(line_id="1", quantity="7")).after(UndoLastChange())
    order = order.after(ChangeItemQuantity(line_id="1", quantity="2"))
    assert len(order.order.redo) == 1


def test_creation_is_not_undone() -> None:
    """With its changes gone, an order is still an order."""
    given(created()).when(UndoLastChange(), expected_version=1).then_rejected(RejectionCode.NOTHING_TO_UNDO)
    given(*ORDER).when(RedoLastChange(), expected_version=6).then_rejected(RejectionCode.NOTHING_TO_REDO)


@pytest.mark.parametrize("data", [UndoLastChange(), RedoLastChange()])
def test_undo_and_redo_need_the_expected_version(data: CommandData) -> None:
    """Nobody undoes what they haven't seen."""
    given(*ORDER).when(data).then_rejected(RejectionCode.EXPECTED_VERSION_REQUIRED)
    given(*ORDER).when(data, expected_version=5).then_rejected(RejectionCode.VERSION_CONFLICT)


def test_a_hundred_changes_can_be_undone() -> None:
    """The stack is bounded: the oldest steps fall out, and what stays is undone as ever."""
    order = given(created(), *(item(str(number)) for number in range(1, MAX_STEPS + 11)))
    assert [step.version for step in order.order.undo] == list(range(12, MAX_STEPS + 12))
    for _ in range(MAX_STEPS):
        order = order.after(UndoLastChange())
    assert len(order.order.lines) == 10
    assert len(order.order.redo) == MAX_STEPS
    order.when(UndoLastChange(), expected_version=order.order.version).then_rejected(
        RejectionCode.NOTHING_TO_UNDO
    )


def test_an_event_about_a_missing_line_stops_the_fold() -> None:
    """A log that contradicts itself is not folded in silence."""
    order = given(created()).order
    with pytest.raises(LookupError, match=f"{ORDER_ID} has no line '9' at version 1"):
        evolve(order, Event(ItemRemoved(line_id="9"), order.updated_at))
