"""Lists of orders: filtered, sorted, page by page; and one order as the read model has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final, Literal, NamedTuple
from uuid import UUID

import asyncpg
from pydantic import Field

from eventstore import Loaded
from orders import Order
from queries import pages
from queries.audit import WITH_LINES
from queries.conditions import Conditions
from queries.numbers import in_its_currency
from queries.pages import BadCursor, Cursors, NotTold, Page
from queries.versions import need_version
from queries.watermarks import Watermark, look, parse_look

MOST_ORDERS = 200

_COLUMNS = """
o.order_id, o.tenant_id, o.status, o.cashier_id, o.currency, o.business_day, o.line_count, o.subtotal,
o.discount, o.total, o.version, o.created_at, o.updated_at, o.recorded_at
"""
_ONE = f"SELECT {_COLUMNS} FROM read_models.order_summary AS o WHERE o.tenant_id = $1 AND o.order_id = $2"  # noqa: S608 - our own columns
# Whatever became of the line since: each of its events names it. The tenant is said once more, and not taken
# from the order: so the index that begins with it can be used in whichever order the two are looked at.
_HAD = """
EXISTS (
    SELECT FROM read_models.audit_log AS a
    WHERE a.tenant_id = {{}} AND a.order_id = o.order_id AND a.{column} = {{}}
)
"""

# The first of these is for the index.
_CHANGED = """
o.changed >= {} AND NOT pg_visible_in_snapshot(o.changed::text::xid8, {}::text::pg_snapshot)
AND pg_visible_in_snapshot(o.changed::text::xid8, {}::text::pg_snapshot)
"""


class OrderStatus(StrEnum):
    """Where orders stand."""

    open = "open"
    confirmed = "confirmed"
    voided = "voided"


class OrderSort(StrEnum):
    """What lists of orders are sorted by; ties go by order id, in the same direction."""

    created_at = "created_at"
    updated_at = "updated_at"
    recorded_at = "recorded_at"
    business_day = "business_day"
    total = "total"


_TYPES: Final = {
    OrderSort.created_at: pages.a_time,
    OrderSort.updated_at: pages.a_time,
    OrderSort.recorded_at: pages.a_time,
    OrderSort.business_day: pages.a_day,
    OrderSort.total: pages.a_number,
}


class OrderFilter(NamedTuple):
    """What orders must have; None where anything goes.

    A span of time includes its `_from` and not its `_to`; a span of days and one of totals includes both.
    `product_id` and `line_id` find every order that ever had it, also one that it was removed from again.
    `changed_since` is the watermark of an earlier list. Texts are identifiers: of printable characters.
    """

    status: OrderStatus | None = None
    cashier_id: str | None = None
    currency: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    updated_from: datetime | None = None
    updated_to: datetime | None = None
    recorded_from: datetime | None = None
    recorded_to: datetime | None = None
    business_day_from: date | None = None
    business_day_to: date | None = None
    total_min: Decimal | None = None
    total_max: Decimal | None = None
    product_id: str | None = None
    line_id: str | None = None
    changed_since: Watermark | None = None


ANY_ORDER: Final = OrderFilter()

_CONDITIONS: Mapping[str, str] = {
    "status": "o.status = {}",
    "cashier_id": "o.cashier_id = {}",
    "currency": "o.currency = {}",
    "created_from": "o.created_at >= {}",
    "created_to": "o.created_at < {}",
    "updated_from": "o.updated_at >= {}",
    "updated_to": "o.updated_at < {}",
    "recorded_from": "o.recorded_at >= {}",
    "recorded_to": "o.recorded_at < {}",
    "business_day_from": "o.business_day >= {}",
    "business_day_to": "o.business_day <= {}",
    "total_min": "o.total >= {}",
    "total_max": "o.total <= {}",
}
_EVER_HAD: Mapping[str, str] = {column: _HAD.format(column=column) for column in ("product_id", "line_id")}


@dataclass(frozen=True)
class OrderSummary:
    """An order at a version: subtotal (after line discounts) - discount (of the whole order) = total."""

    order_id: UUID
    tenant_id: NotTold
    status: Literal["open", "confirmed", "voided"]
    cashier_id: Annotated[str, Field(examples=["anna"])]
    currency: Annotated[str, Field(examples=["EUR"])]
    business_day: date
    line_count: int
    subtotal: Annotated[Decimal, Field(examples=["5.50"])]
    discount: Annotated[Decimal, Field(examples=["0.55"])]
    total: Annotated[Decimal, Field(examples=["4.95"])]
    version: int
    created_at: Annotated[datetime, Field(description="When its first event occurred.")]
    updated_at: Annotated[datetime, Field(description="When its newest event occurred.")]
    recorded_at: Annotated[datetime, Field(description="When its newest event was recorded.")]


@dataclass(frozen=True, slots=True)
class OrderList(Page[OrderSummary]):
    """A page of a list, and the watermark of its first page: what changes after that is of the next list."""

    watermark: Watermark


def summary_of(loaded: Loaded[Order]) -> OrderSummary:
    """Return an order of the event store as the read model has it at the order's version.

    Raises LookupError for an order before its creation.
    """
    order, recorded_at = loaded.state, loaded.recorded_at
    day, created_at, updated_at = order.business_day, order.created_at, order.updated_at
    if (
        order.status == "new"
        or day is None
        or created_at is None
        or updated_at is None
        or recorded_at is None
    ):
        raise LookupError(f"order {order.order_id} does not exist yet")
    totals = order.totals
    return OrderSummary(
        order.order_id,
        order.tenant_id,
        order.status,
        order.cashier_id,
        order.currency,
        day,
        len(order.lines),
        totals.subtotal,
        totals.order_discount,
        totals.total,
        order.version,
        created_at,
        updated_at,
        recorded_at,
    )


async def list_orders(
    conn: asyncpg.Connection,
    tenant_id: str,
    wanted: OrderFilter = ANY_ORDER,
    *,
    sort: OrderSort = OrderSort.created_at,
    descending: bool = True,
    limit: int = 50,
    cursor: str | None = None,
) -> OrderList:
    """Return a page of a tenant's orders, `limit` (1 to 200) at most; `cursor` is the last page's next one.

    With `changed_since`, what changes between two pages leaves the list and is of the next one, whatever the
    order: so each list ends, and from watermark to watermark none misses a change.
    Raises BadCursor, ValueError for another limit, asyncpg's UndefinedTableError as long as a read model has
    no tables, and EarlierVersion.
    """
    if not 1 <= limit <= MOST_ORDERS:
        raise ValueError(f"limit must be from 1 to {MOST_ORDERS}")
    cursors = Cursors(
        ["orders", tenant_id, sort, descending, *wanted], (_TYPES[sort], pages.an_id, parse_look)
    )
    if cursor is None:
        place, walk = None, await look(conn, "order_summary", wanted.changed_since)
    else:
        *place, walk = cursors.read(cursor)
        if walk is None:
            raise BadCursor("is no cursor that was given out here")
    conditions = Conditions()
    conditions.add("o.tenant_id = {}", tenant_id)
    for name, condition in _CONDITIONS.items():
        conditions.add_given(condition, getattr(wanted, name))
    for column, condition in _EVER_HAD.items():
        if (value := getattr(wanted, column)) is not None:
            await need_version(conn, "audit_log", WITH_LINES)
            conditions.add(condition, tenant_id, value)
    if wanted.changed_since is not None:
        conditions.add(_CHANGED, walk.lowest, walk.seen.snapshot, walk.watermark.snapshot)
    if place is not None:
        past = "<" if descending else ">"
        conditions.add(f"(o.{sort}, o.order_id) {past} ({{}}, {{}})", *place)
    direction = "DESC" if descending else "ASC"
    statement = f"""
        SELECT {_COLUMNS} FROM read_models.order_summary AS o WHERE {conditions}
        ORDER BY o.{sort} {direction}, o.order_id {direction} LIMIT {conditions.parameter(limit + 1)}
    """  # noqa: S608 - our own texts; values are parameters
    rows = await conn.fetch(statement, *conditions.values)
    found = [_summary(row) for row in rows]
    page = cursors.page(found, limit, lambda order: (getattr(order, sort), order.order_id, walk))
    return OrderList(page.items, page.next_cursor, walk.watermark)


async def find_order(conn: asyncpg.Connection, tenant_id: str, order_id: UUID) -> OrderSummary | None:
    """Return a tenant's order as the read model has it; None when it has no such order (yet)."""
    row = await conn.fetchrow(_ONE, tenant_id, order_id)
    return None if row is None else _summary(row)


def _summary(row: asyncpg.Record) -> OrderSummary:
    return OrderSummary(**in_its_currency(row, "subtotal", "discount", "total"))
