"""Questions about orders, sales, products and processes, as SQL over the read models and folds of the log.

Each takes a connection and a tenant, and says `tenant_id = …` itself, whatever the connection's role may see.
"""

from queries.audit import AUDIT_KINDS, MOST_ENTRIES, AuditEntry, AuditFilter, audit_trail
from queries.conditions import Clock
from queries.errors import NoSuchMoment, NoSuchOrder, NoSuchVersion, NotCreatedYet, NotMadeYet, SeveralTenants
from queries.event_filter import BEGINNING, EventFilter, HeadersTest, Start, parse_start
from queries.numbers import in_its_currency, read_numbers_as_written
from queries.order_at import Point, order_at, order_history
from queries.orders import (
    MOST_ORDERS,
    OrderFilter,
    OrderSort,
    OrderStatus,
    OrderSummary,
    find_order,
    list_orders,
)
from queries.pages import BadCursor, Page
from queries.process import ProcessMap, process_map
from queries.products import MOST_PRODUCTS, product_quantities
from queries.sales import SalesGroup, sales
from queries.searching import search
from queries.tenants import find_tenants, some_orders, tenant_in_trail, tenant_of_order
from queries.versions import EarlierVersion

__all__ = [
    "AUDIT_KINDS",
    "BEGINNING",
    "MOST_ENTRIES",
    "MOST_ORDERS",
    "MOST_PRODUCTS",
    "AuditEntry",
    "AuditFilter",
    "BadCursor",
    "Clock",
    "EarlierVersion",
    "EventFilter",
    "HeadersTest",
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
    "SalesGroup",
    "SeveralTenants",
    "Start",
    "audit_trail",
    "find_order",
    "find_tenants",
    "in_its_currency",
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
    "tenant_in_trail",
    "tenant_of_order",
]
