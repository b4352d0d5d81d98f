"""The domain of orders: pure functions over frozen messages and a frozen state. No I/O, clock or settings.

`decide(command, order)` gives events or raises Rejected; `evolve(order, event)` gives the order after it.
"""

from orders.commands import COMMAND_TYPES, Command, CreateOrder
from orders.decisions import decide
from orders.describe import describe_changes, describe_event
from orders.described_fields import discount_fields, line_amounts, line_fields, order_fields, totals_fields
from orders.difference import FieldChange, OrderDifference, PricedLine, difference
from orders.events import EVENT_TYPES, Event, ItemAdded, OrderConfirmed, OrderCreated, OrderVoided
from orders.fields import identifier
from orders.lines import Line
from orders.order import Order, evolve, initial_state
from orders.order_storage import ORDER, decode_event, encode_event, event_metadata
from orders.parsing import canonical_json, parse_command
from orders.rejections import Malformed, Rejected, RejectionCode
from orders.totals import LineTotals

__all__ = [
    "COMMAND_TYPES",
    "EVENT_TYPES",
    "ORDER",
    "Command",
    "CreateOrder",
    "Event",
    "FieldChange",
    "ItemAdded",
    "Line",
    "LineTotals",
    "Malformed",
    "Order",
    "OrderConfirmed",
    "OrderCreated",
    "OrderDifference",
    "OrderVoided",
    "PricedLine",
    "Rejected",
    "RejectionCode",
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
