"""Questions about orders, sales, products and processes, as SQL over the read models and folds of the log.

Each takes a connection and a tenant, and says `tenant_id = …` itself, whatever the connection's role may see.
"""

from queries.audit import AUDIT_KINDS, MOST_ENTRIES, REFUSED, AuditEntry, AuditFilter, audit_trail
from queries.conditions import Clock
from queries.errors import NoSuchMoment, NoSuchOrder, NoSuchVersion, NotCreatedYet, NotMadeYet, SeveralTenants
from queries.event_filter import BEGINNING, EventFilter, HeadersTest, Start, parse_start
from queries.numbers import read_numbers_as_written
from queries.order_at import Point, order_at, order_history
from queries.orders import (
    MOST_ORDERS,
    OrderFilter,
    OrderSort,
    OrderStatus,
    OrderSummary,
    find_order,
    list_orders,
    summary_of,
)
from queries.pages import BadCursor, Page
from queries.process import Edge, ProcessMap, process_map
from queries.products import MOST_PRODUCTS, ProductSold, product_quantities
from queries.sales import SalesGroup, SalesRow, sales
from queries.searching import Hit, HitKind, search
from queries.tenants import find_tenants, some_orders, tenant_in_trail, tenant_of_order
from queries.versions import EarlierVersion

__all__ = [
    "AUDIT_KINDS",
    "BEGINNING",
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
    "EventFilter",
    "HeadersTest",
    "Hit",
    "HitKind",
    "NoSuchMoment",
    "NoSuchOrder",
    "NoSuchVersion",
    "NotCreatedYet",
    "NotMadeYet",
    "OrderFilter",
    "OrderSort",
    "OrderStatus",
    "OrderSummary",
    "Page",
    "Point",
    "ProcessMap",
    "ProductSold",
    "SalesGroup",
    "SalesRow",
    "SeveralTenants",
    "Start",
    "audit_trail",
    "find_order",
    "find_tenants",
    "list_orders",
    "order_at",
    "order_history",
    "parse_start",
    "process_map",
    "product_quantities",
    "read_numbers_as_written",
    "sales",
    "search",
    "some_orders",
    "summary_of",
    "tenant_in_trail",
    "tenant_of_order",
]
