"""The rules: which events a command leads to, or why it is refused."""

from datetime import date
from decimal import Decimal
from typing import assert_never
from zoneinfo import ZoneInfo

from orders.business_day import business_day_of
from orders.commands import (
    AddItem,
    ApplyDiscount,
    ApplyLineDiscount,
    ChangeCommand,
    ChangeItemQuantity,
    Command,
    ConfirmOrder,
    CreateOrder,
    RedoLastChange,
    RemoveDiscount,
    RemoveItem,
    RemoveLineDiscount,
    UndoLastChange,
    VoidOrder,
)
from orders.currencies import NotMoney, minor_unit
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
from orders.money import on_grid
from orders.order import Order
from orders.rejections import Rejected, RejectionCode
from orders.totals import line_gross
from orders.undo import compensate

MAX_LINES = 1000
_HUNDRED = Decimal(100)


def decide(command: Command, order: Order) -> tuple[Event, ...]:
    """Return the events that the command leads to; none if what it asks for is so already.

    Raises Rejected. Existence is checked first, then the expected version, then the rules.
    """
    data = command.data
    _check_existence_and_version(command, order)
    at = command.occurred_at
    match data:
        case CreateOrder():
            return (Event(_create(data, command), at),)
        case ConfirmOrder():
            return _confirm(command, order)
        case VoidOrder():
            if order.status == "voided":
                raise Rejected(RejectionCode.ALREADY_VOIDED)
            return (Event(OrderVoided(reason=data.reason, authorised_by=data.authorised_by), at),)
        case UndoLastChange():
            _check_open(order)
            if not order.undo:
                raise Rejected(RejectionCode.NOTHING_TO_UNDO)
            step = order.undo[-1]
            return tuple(Event(back, at, undoes=(step.version,)) for back in compensate(step))
        case RedoLastChange():
            _check_open(order)
            if not order.redo:
                raise Rejected(RejectionCode.NOTHING_TO_REDO)
            step = order.redo[-1]
            return (Event(step.change, at, redoes=(step.version,)),)
        case _:
            _check_open(order)
            change = _change(data, order)
            return () if change is None else (Event(change, at),)


def _check_existence_and_version(command: Command, order: Order) -> None:
    if isinstance(command.data, CreateOrder):
        if order.status != "new":
            raise Rejected(RejectionCode.ORDER_EXISTS)
    elif order.status == "new":
        raise Rejected(RejectionCode.ORDER_NOT_FOUND)
    expected = command.expected_version
    if expected is None:
        if isinstance(command.data, UndoLastChange | RedoLastChange):
            raise Rejected(RejectionCode.EXPECTED_VERSION_REQUIRED)
    elif expected != order.version:
        raise Rejected(
            RejectionCode.VERSION_CONFLICT,
            f"The order is at version {order.version}, but the command expects version {expected}.",
        )


def _check_open(order: Order) -> None:
    if order.status != "open":
        raise Rejected(RejectionCode.ORDER_NOT_OPEN, f"The order is not open: it is {order.status}.")


def _create(data: CreateOrder, command: Command) -> OrderCreated:
    business_day = _business_day(command) if data.business_day is None else data.business_day
    try:
        decimals = minor_unit(data.currency, business_day)
    except NotMoney as error:
        raise Rejected(RejectionCode.UNKNOWN_CURRENCY, str(error)) from None
    return OrderCreated(
        cashier_id=data.cashier_id,
        currency=data.currency,
        minor_unit=decimals,
        rounding=data.rounding,
        business_day=business_day,
    )


def _business_day(command: Command) -> date:
    return business_day_of(command.occurred_at, command.time_zone, command.day_ends_at)


def _confirm(command: Command, order: Order) -> tuple[Event, ...]:
    if order.status == "confirmed":
        return ()
    _check_open(order)
    if not order.lines:
        raise Rejected(RejectionCode.EMPTY_ORDER)
    totals = order.totals
    local = command.occurred_at.astimezone(ZoneInfo(command.time_zone))
    confirmed = OrderConfirmed(
        subtotal=totals.subtotal,
        discount=totals.order_discount,
        total=totals.total,
        business_day=order.business_day or _business_day(command),
        hour=local.hour,
    )
    return (Event(confirmed, command.occurred_at),)


def _change(data: ChangeCommand, order: Order) -> ItemOrDiscountChange | None:  # noqa: PLR0911 - one a command
    """Return the change that a command makes to an open order, or None if it is made already."""
    match data:
        case AddItem():
            return _add_item(data, order)
        case RemoveItem():
            return ItemRemoved(line_id=_line(order, data.line_id).line_id)
        case ChangeItemQuantity():
            return _change_quantity(data, order)
        case ApplyDiscount():
            _check_percent(data.percent)
            if order.discount == OrderDiscount(data.percent, data.authorised_by, data.reason):
                return None
            return DiscountApplied(percent=data.percent, authorised_by=data.authorised_by, reason=data.reason)
        case RemoveDiscount():
            return None if order.discount is None else DiscountRemoved()
        case ApplyLineDiscount():
            return _discount_line(data, order)
        case RemoveLineDiscount():
            line = _line(order, data.line_id)
            return None if line.discount is None else LineDiscountRemoved(line_id=line.line_id)
        case _:
            assert_never(data)


def _add_item(data: AddItem, order: Order) -> ItemAdded:
    line_id = data.line_id
    if line_id is None:
        number = order.next_line
        while order.find_line(str(number)):
            number += 1
        line_id = str(number)
    elif order.find_line(line_id):
        raise Rejected(RejectionCode.LINE_EXISTS, f"The order has a line {line_id} already.")
    if len(order.lines) >= MAX_LINES:
        raise Rejected(RejectionCode.TOO_MANY_LINES)
    return ItemAdded(
        line_id=line_id,
        product_id=data.product_id,
        name=data.name,
        quantity=data.quantity,
        unit_price=_in_minor_units("unit_price", data.unit_price, order),
    )


def _change_quantity(data: ChangeItemQuantity, order: Order) -> ItemQuantityChanged | None:
    line = _line(order, data.line_id)
    if line.quantity == data.quantity:
        return None
    if line.discount is not None and line.discount.amount is not None:
        _check_within_line(line.discount.amount, data.quantity, line, order)
    return ItemQuantityChanged(line_id=line.line_id, old=line.quantity, new=data.quantity)


def _discount_line(data: ApplyLineDiscount, order: Order) -> LineDiscountApplied | None:
    line = _line(order, data.line_id)
    amount = data.amount
    if amount is not None:
        amount = _in_minor_units("amount", amount, order)
        if amount <= 0:
            raise Rejected(RejectionCode.DISCOUNT_OUT_OF_RANGE, f"amount: {amount} is not above 0.")
        _check_within_line(amount, line.quantity, line, order)
    elif data.percent is not None:
        _check_percent(data.percent)
    if line.discount == LineDiscount(data.authorised_by, data.percent, amount, data.reason):
        return None
    return LineDiscountApplied(
        line_id=line.line_id,
        percent=data.percent,
        amount=amount,
        authorised_by=data.authorised_by,
        reason=data.reason,
    )


def _line(order: Order, line_id: str) -> Line:
    found = order.find_line(line_id)
    if found is None:
        raise Rejected(RejectionCode.UNKNOWN_LINE, f"The order has no line {line_id}.")
    return found[1]


def _check_percent(percent: Decimal) -> None:
    if not 0 < percent <= _HUNDRED:
        raise Rejected(
            RejectionCode.DISCOUNT_OUT_OF_RANGE, f"percent: {percent} is not above 0 and at most 100."
        )


def _check_within_line(amount: Decimal, quantity: Decimal, line: Line, order: Order) -> None:
    gross = line_gross(quantity, line.unit_price, order.minor_unit, order.rounding)
    if amount > gross:
        raise Rejected(
            RejectionCode.DISCOUNT_EXCEEDS_LINE,
            f"The discount {amount} is greater than the gross {gross} of line {line.line_id}.",
        )


def _in_minor_units(field: str, amount: Decimal, order: Order) -> Decimal:
    written = on_grid(amount, order.minor_unit)
    if written is None:
        raise Rejected(
            RejectionCode.PRICE_TOO_FINE,
            f"{field}: {amount} is finer than {order.currency} allows: at most {order.minor_unit} decimals.",
        )
    return written
