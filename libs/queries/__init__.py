"""Questions about orders, sales, products and processes, as SQL over the read models and folds of the log.

Each takes a connection and a tenant, and says `tenant_id = …` itself, whatever the connection's role may see.
"""

from queries.orders import (
    MOST_ORDERS,
    OrderFilter,
    OrderSort,
    OrderStatus,
    OrderSummaryRow,
    find_order,
    list_orders,
)
from queries.pages import BadCursor, Page
from queries.searching import Hit, HitKind, search

__all__ = [
    "MOST_ORDERS",
    "BadCursor",
    "Hit",
    "HitKind",
    "OrderFilter",
    "OrderSort",
    "OrderStatus",
    "OrderSummaryRow",
    "Page",
    "find_order",
    "list_orders",
    "search",
]
