"""The domain of orders: pure functions over frozen messages and a frozen state. No I/O, clock or settings.

`decide(command, order)` gives events or raises Rejected; `evolve(order, event)` gives the order after it.
"""

from orders.commands import (
    COMMAND_TYPES,
    AddItem,
    ApplyDiscount,
    ApplyLineDiscount,
    ChangeItemQuantity,
    Command,
    CommandData,
    ConfirmOrder,
    CreateOrder,
    RedoLastChange,
    RemoveDiscount,
    RemoveItem,
    RemoveLineDiscount,
    UndoLastChange,
    VoidOrder,
)
from orders.decisions import decide
from orders.describe import describe_changes, describe_event
from orders.described_fields import (
    discount_fields,
    line_amounts,
    line_fields,
    order_fields,
    totals_fields,
)
from orders.difference import FieldChange, LineChange, OrderDifference, PricedLine, difference
from orders.events import (
    EVENT_TYPES,
    DiscountApplied,
    DiscountRemoved,
    Event,
    EventData,
    ItemAdded,
    ItemQuantityChanged,
    ItemRemoved,
    LineDiscountApplied,
    LineDiscountRemoved,
    OrderConfirmed,
    OrderCreated,
    OrderVoided,
)
from orders.fields import identifier
from orders.lines import Line, LineDiscount, OrderDiscount
from orders.money import Rounding
from orders.order import Order, Step, evolve, initial_state
from orders.order_storage import ORDER, OrderType, decode_event, encode_event, event_metadata
from orders.parsing import canonical_json, parse_command
from orders.rejections import Malformed, Rejected, RejectionCode
from orders.totals import LineTotals, Totals

__all__ = [
    "COMMAND_TYPES",
    "EVENT_TYPES",
    "ORDER",
    "AddItem",
    "ApplyDiscount",
    "ApplyLineDiscount",
    "ChangeItemQuantity",
    "Command",
    "CommandData",
    "ConfirmOrder",
    "CreateOrder",
    "DiscountApplied",
    "DiscountRemoved",
    "Event",
    "EventData",
    "FieldChange",
    "ItemAdded",
    "ItemQuantityChanged",
    "ItemRemoved",
    "Line",
    "LineChange",
    "LineDiscount",
    "LineDiscountApplied",
    "LineDiscountRemoved",
    "LineTotals",
    "Malformed",
    "Order",
    "OrderConfirmed",
    "OrderCreated",
    "OrderDifference",
    "OrderDiscount",
    "OrderType",
    "OrderVoided",
    "PricedLine",
    "RedoLastChange",
    "Rejected",
    "RejectionCode",
    "RemoveDiscount",
    "RemoveItem",
    "RemoveLineDiscount",
    "Rounding",
    "Step",
    "Totals",
    "UndoLastChange",
    "VoidOrder",
    "canonical_json",
    "decide",
    "decode_event",
    "describe_changes",
    "describe_event",
    "difference",
    "discount_fields",
    "encode_event",
    "event_metadata",
    "evolve",
    "identifier",
    "initial_state",
    "line_amounts",
    "line_fields",
    "order_fields",
    "parse_command",
    "totals_fields",
]
