"""Answers: what HTTP documents and sends, and the rows that tables and programs take; one model each."""

from queries.answers.found import AuditPage, Hits, Products, Sales
from queries.answers.history import (
    Change,
    ChangedLine,
    Difference,
    History,
    HistoryEvent,
    difference_of,
    event_of,
)
from queries.answers.orders import (
    Discount,
    OrderLine,
    OrdersPage,
    OrderState,
    beside_summary,
    line_of,
    state_of,
)
from queries.answers.read_model_state import (
    Build,
    CommandOutcome,
    ReadModels,
    ReadModelState,
    build_of,
    outcome_of,
)
from queries.answers.rows import entry_row, event_row, line_row, message_row, order_row

__all__ = [
    "AuditPage",
    "Build",
    "Change",
    "ChangedLine",
    "CommandOutcome",
    "Difference",
    "Discount",
    "History",
    "HistoryEvent",
    "Hits",
    "OrderLine",
    "OrderState",
    "OrdersPage",
    "Products",
    "ReadModelState",
    "ReadModels",
    "Sales",
    "beside_summary",
    "build_of",
    "difference_of",
    "entry_row",
    "event_of",
    "event_row",
    "line_of",
    "line_row",
    "message_row",
    "order_row",
    "outcome_of",
    "state_of",
]
