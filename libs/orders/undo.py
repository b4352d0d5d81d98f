"""Undo and redo: which changes take a step back, and which do it again."""

from typing import assert_never

from orders.events import (
    DiscountApplied,
    DiscountRemoved,
    ItemAdded,
    ItemOrDiscountChange,
    ItemQuantityChanged,
    ItemRemoved,
    LineDiscountApplied,
    LineDiscountRemoved,
)
from orders.lines import Line
from orders.order import Step


def compensate(step: Step) -> tuple[ItemOrDiscountChange, ...]:
    """Return the changes that bring back what stood before the step.

    They fit the order as it was right after the step, as it is while the step is on top of the stack.
    """
    change = step.change
    match change:
        case ItemAdded():
            return (ItemRemoved(line_id=change.line_id),)
        case ItemQuantityChanged():
            return (ItemQuantityChanged(line_id=change.line_id, old=change.new, new=change.old),)
        case DiscountApplied() | DiscountRemoved():
            return (_order_discount(step),)
        case ItemRemoved():
            line = _line_before(step)
            added = ItemAdded(
                line_id=line.line_id,
                product_id=line.product_id,
                name=line.name,
                quantity=line.quantity,
                unit_price=line.unit_price,
                position=step.position,
            )
            return (added,) if line.discount is None else (added, _line_discount(line))
        case LineDiscountApplied() | LineDiscountRemoved():
            return (_line_discount(_line_before(step)),)
        case _:
            assert_never(change)


def _order_discount(step: Step) -> DiscountApplied | DiscountRemoved:
    before = step.discount
    if before is None:
        return DiscountRemoved()
    return DiscountApplied(percent=before.percent, authorised_by=before.authorised_by, reason=before.reason)


def _line_discount(line: Line) -> LineDiscountApplied | LineDiscountRemoved:
    before = line.discount
    if before is None:
        return LineDiscountRemoved(line_id=line.line_id)
    return LineDiscountApplied(
        line_id=line.line_id,
        percent=before.percent,
        amount=before.amount,
        authorised_by=before.authorised_by,
        reason=before.reason,
    )


def _line_before(step: Step) -> Line:
    if step.line is None:
        raise LookupError(f"the step of version {step.version} kept no line")
    return step.line
