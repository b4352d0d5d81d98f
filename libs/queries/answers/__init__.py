"""Answers: what HTTP documents and sends, and the rows that tables and programs take; one model each."""

from queries.answers.found import AuditPage, Hits, Products, Sales
from queries.answers.history import Difference, History, difference_of, event_of
from queries.answers.orders import OrdersPage, OrderState, beside_summary, state_of
from queries.answers.read_model_state import AskedFor, CommandOutcome, ReadModels, build_of, outcome_of
from queries.answers.rows import entry_row, event_row, line_row, message_row, order_row

__all__ = [
    "AskedFor",
    "AuditPage",
    "CommandOutcome",
    "Difference",
    "History",
    "Hits",
    "OrderState",
    "OrdersPage",
    "Products",
    "ReadModels",
    "Sales",
    "beside_summary",
    "build_of",
    "difference_of",
    "entry_row",
    "event_of",
    "event_row",
    "line_row",
    "message_row",
    "order_row",
    "outcome_of",
    "state_of",
]
