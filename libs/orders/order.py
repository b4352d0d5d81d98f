"""The order: its state, and how each event changes it.

Stored in snapshots: see `order_storage.STATE_VERSION`.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, assert_never
from uuid import UUID

from orders.events import (
    DiscountApplied,
    DiscountRemoved,
    Event,
    ItemAdded,
    ItemOrDiscountChange,
    ItemQuantityChanged,
    ItemRemoved,
    LineDiscountApplied,
    LineDiscountRemoved,
    OrderConfirmed,
    OrderCreated,
    OrderVoided,
)
from orders.lines import Line, LineDiscount, OrderDiscount
from orders.money import Rounding
from orders.totals import Totals, compute_totals

MAX_STEPS = 100
# Longer numbers are somebody else's ids, not ours to count on from.
_LONGEST_LINE_NUMBER = 9


@dataclass(frozen=True, slots=True)
class Step:
    """One change that can be undone or redone, and what it changed.

    `version` is the order's version that first made the change. `line` (with its `position`) and `discount`
    are what stood there before.
    """

    version: int
    change: ItemOrDiscountChange
    line: Line | None = None
    position: int | None = None
    discount: OrderDiscount | None = None


@dataclass(frozen=True)
class Order:
    """An order at a version. Status "new" means that it does not exist: version 0, empty fields.

    `minor_unit` is the number of decimals of its currency. `hour` is the local hour of its confirmation;
    `confirmed` stays true after a void. `next_line` is the number that the next line without an id gets.
    `undo` and `redo` are stacks, the newest step last, at most 100 steps. `created_at` and `updated_at` are
    when its first and newest event occurred.
    """

    tenant_id: str
    order_id: UUID
    version: int = 0
    status: Literal["new", "open", "confirmed", "voided"] = "new"
    cashier_id: str = ""
    currency: str = ""
    minor_unit: int = 0
    rounding: Rounding = Rounding.HALF_UP
    business_day: date | None = None
    hour: int | None = None
    confirmed: bool = False
    lines: tuple[Line, ...] = ()
    next_line: int = 1
    discount: OrderDiscount | None = None
    undo: tuple[Step, ...] = ()
    redo: tuple[Step, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    voided_reason: str | None = None
    voided_by: str | None = None

    @property
    def totals(self) -> Totals:
        """What the order comes to now."""
        return compute_totals(self.lines, self.discount, self.minor_unit, self.rounding)

    def find_line(self, line_id: str) -> tuple[int, Line] | None:
        """Return a line and its position, from 0, or None."""
        for position, line in enumerate(self.lines):
            if line.line_id == line_id:
                return position, line
        return None


def initial_state(tenant_id: str, order_id: UUID) -> Order:
    """Return the order before its first event."""
    return Order(tenant_id, order_id)


def evolve(order: Order, event: Event) -> Order:
    """Return the order after the event. It checks no rules: the event has happened.

    Raises LookupError for an event about a line that the order doesn't have, which `decide` never gives.
    """
    match event.data:
        case OrderCreated() as data:
            changes = {
                "status": "open",
                "cashier_id": data.cashier_id,
                "currency": data.currency,
                "minor_unit": data.minor_unit,
                "rounding": data.rounding,
                "business_day": data.business_day,
                "created_at": event.occurred_at,
            }
        case OrderConfirmed() as data:
            changes = {
                "status": "confirmed",
                "confirmed": True,
                "business_day": data.business_day,
                "hour": data.hour,
                "undo": (),
                "redo": (),
            }
        case OrderVoided() as data:
            changes = {
                "status": "voided",
                "voided_reason": data.reason,
                "voided_by": data.authorised_by,
                "undo": (),
                "redo": (),
            }
        case change:
            changes, step = _change(order, change)
            _stack(order, event, step, changes)
    changes["version"] = order.version + 1
    changes["updated_at"] = event.occurred_at
    return _copy(order, changes)


def _copy(order: Order, changes: dict[str, Any]) -> Order:
    # dataclasses.replace takes nine times as long, on the hottest path of all. For this Order has no slots.
    copy = object.__new__(Order)
    fields = copy.__dict__
    fields.update(order.__dict__)
    fields.update(changes)
    return copy


def _change(order: Order, change: ItemOrDiscountChange) -> tuple[dict[str, Any], Step]:
    """Return what an item or discount change sets, and the step that can undo it."""
    version = order.version + 1
    match change:
        case ItemAdded():
            line = Line(change.line_id, change.product_id, change.name, change.quantity, change.unit_price)
            at = len(order.lines) if change.position is None else change.position
            changes = {
                "lines": (*order.lines[:at], line, *order.lines[at:]),
                "next_line": max(order.next_line, _after(change.line_id)),
            }
            return changes, Step(version, change)
        case DiscountApplied():
            discount = OrderDiscount(change.percent, change.authorised_by, change.reason)
            return {"discount": discount}, Step(version, change, discount=order.discount)
        case DiscountRemoved():
            return {"discount": None}, Step(version, change, discount=order.discount)
        case ItemRemoved() | ItemQuantityChanged() | LineDiscountApplied() | LineDiscountRemoved():
            return _change_line(order, change, version)
        case _:
            assert_never(change)


def _change_line(
    order: Order,
    change: ItemRemoved | ItemQuantityChanged | LineDiscountApplied | LineDiscountRemoved,
    version: int,
) -> tuple[dict[str, Any], Step]:
    found = order.find_line(change.line_id)
    if found is None:
        raise LookupError(f"order {order.order_id} has no line {change.line_id!r} at version {order.version}")
    position, line = found
    after: tuple[Line, ...]
    match change:
        case ItemRemoved():
            after = ()
        case ItemQuantityChanged():
            after = (_relined(line, change.new, line.discount),)
        case LineDiscountApplied():
            discount = LineDiscount(change.authorised_by, change.percent, change.amount, change.reason)
            after = (_relined(line, line.quantity, discount),)
        case LineDiscountRemoved():
            after = (_relined(line, line.quantity, None),)
        case _:
            assert_never(change)
    lines = (*order.lines[:position], *after, *order.lines[position + 1 :])
    return {"lines": lines}, Step(version, change, line, position)


def _relined(line: Line, quantity: Decimal, discount: LineDiscount | None) -> Line:
    return Line(line.line_id, line.product_id, line.name, quantity, line.unit_price, discount)


def _after(line_id: str) -> int:
    if len(line_id) <= _LONGEST_LINE_NUMBER and line_id.isascii() and line_id.isdecimal():
        return int(line_id) + 1
    return 0


def _stack(order: Order, event: Event, step: Step, changes: dict[str, Any]) -> None:
    """Add to `changes` how the event moves the undo and redo stacks.

    An undo or redo of one step may take several events: the first moves the step, the others find it moved.
    """
    if event.undoes:
        if order.undo and order.undo[-1].version in event.undoes:
            changes["undo"], changes["redo"] = order.undo[:-1], (*order.redo, order.undo[-1])
    elif event.redoes:
        if order.redo and order.redo[-1].version in event.redoes:
            changes["undo"], changes["redo"] = (*order.undo, order.redo[-1]), order.redo[:-1]
    elif order.status == "open":
        changes["undo"], changes["redo"] = (*order.undo, step)[-MAX_STEPS:], ()
