"""Questions about orders, sales, products and processes, as SQL over the read models and folds of the log.

Each takes a connection and a tenant, and says `tenant_id = …` itself, whatever the connection's role may see.
"""

from __future__ import annotations

from queries.audit import AUDIT_KINDS, MOST_ENTRIES, REFUSED, AuditEntry, AuditFilter, audit_trail
from queries.numbers import read_numbers_as_written
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
from queries.process import Edge, ProcessMap, process_map
from queries.products import MOST_PRODUCTS, ProductSold, product_quantities
from queries.sales import Clock, SalesGroup, SalesRow, sales
from queries.searching import Hit, HitKind, search
from queries.versions import EarlierVersion

__all__ = [
    "AUDIT_KINDS",
    "MOST_ENTRIES",
    "MOST_ORDERS",
    "MOST_PRODUCTS",
    "REFUSED",
    "AuditEntry",
    "AuditFilter",
    "BadCursor",
    "Clock",
    "EarlierVersion",
    "Edge",
    "Hit",
    "HitKind",
    "OrderFilter",
    "OrderSort",
    "OrderStatus",
    "OrderSummaryRow",
    "Page",
    "ProcessMap",
    "ProductSold",
    "SalesGroup",
    "SalesRow",
    "audit_trail",
    "find_order",
    "list_orders",
    "process_map",
    "product_quantities",
    "read_numbers_as_written",
    "sales",
    "search",
]
