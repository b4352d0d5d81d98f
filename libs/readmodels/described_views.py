"""What each view and each of its columns says, as PostgreSQL's comments tell it to whoever looks.

A column means the same in every view that has it, unless `OF_ONE_VIEW` says otherwise.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

_MONEY = "in the row's currency"
_CHANGED_FIELDS = (
    "JSON: order fields by name, discount, totals, and lines by line id; amounts as text; only what differs"
)

VIEWS: Final[Mapping[str, str]] = {
    "audit_log": "Who did what, when, and what it changed: a row per event, and per refused command.",
    "order_summary": "Orders as they stand: a row per order.",
    "process_ends": "The type of each order's newest event: how orders end so far.",
    "process_steps": "Which event follows which, and after how long: a row per event.",
    "product_movements": "Lines of confirmed orders, and of voided ones once more with the signs turned.",
    "sales": "What was sold, by tenant, business day, hour, cashier and currency. Never add two currencies.",
    "sales_changes": "What each confirmation added to sales, and each void took out of them.",
}

COLUMNS: Final[Mapping[str, str]] = {
    "actor": "Who did it.",
    "after": f"The changed fields as they are after the event. {_CHANGED_FIELDS}.",
    "authorised_by": "Who authorised it: of discounts and voids.",
    "before": f"The changed fields as they were before the event. {_CHANGED_FIELDS}.",
    "business_day": "The day that the order counts for, by its tenant's time zone and end of day.",
    "cashier_id": "Whose order it is.",
    "changed": "The transaction that made the row what it says; see watermark in read_models.freshness.",
    "code": "Of a refused command: why, for programs.",
    "command_id": "The command that it comes of.",
    "command_type": "Of a refused command: what it asked for.",
    "correlation_id": "What the sender gave to tell what belongs together; null of refused commands.",
    "created_at": "When the order's first event occurred, by the terminal's clock.",
    "currency": "ISO 4217.",
    "discount": f"Discounts of lines and of the order together, {_MONEY}.",
    "from_type": "The type of the event before, null for an order's first.",
    "gross": f"Quantity times price, before all discounts, {_MONEY}.",
    "hour": "The local hour of the confirmation, 0 to 23.",
    "kind": "The type of the event, or refused.",
    "last_type": "The type of the order's newest event.",
    "line_count": "How many lines the order has.",
    "line_id": "The order's line.",
    "message": "Of a refused command: why, for people.",
    "name": "The product's name on the line.",
    "net": f"Gross less discount, {_MONEY}.",
    "occurred_at": "When it occurred, by the terminal's clock.",
    "occurred_by": "By when it and all before it in its order had occurred, by the terminals' clocks.",
    "order_id": "The order.",
    "orders": "Confirmed orders, and not voided since.",
    "product_id": "The product.",
    "quantity": "How much, with three decimals.",
    "recorded_at": "When it was recorded, by the store's clock.",
    "redoes": "The versions whose events it does again.",
    "status": "open, confirmed or voided.",
    "subtotal": f"The lines' sum after their own discounts, {_MONEY}.",
    "tenant_id": "Whose it is: a store, say. Its time zone is in read_models.tenants.",
    "to_type": "The type of this event.",
    "total": f"Subtotal less the order's discount, {_MONEY}. A voided order keeps it.",
    "undoes": "The versions whose events it takes back.",
    "updated_at": "When the order's newest event occurred, by the terminal's clock.",
    "version": "The order's version after the event, from 1.",
    "voids": "Confirmed orders that were voided.",
    "wait": "Since the event before, by the terminals' clocks; null for an order's first.",
}

OF_ONE_VIEW: Final[Mapping[tuple[str, str], str]] = {
    ("audit_log", "line_id"): "The line that the event names.",
    ("audit_log", "product_id"): "The product of a line that came.",
    ("audit_log", "version"): "The order's version after the event, from 1; null of refused commands.",
    ("order_summary", "discount"): f"The whole order's own discount, without its lines', {_MONEY}.",
    ("order_summary", "recorded_at"): "When the order's newest event was recorded, by the store's clock.",
    ("order_summary", "version"): "The order's version: how many events it has.",
    ("process_ends", "version"): "The order's version: how many events it has.",
    ("product_movements", "discount"): f"The line's discount and its share of the order's, {_MONEY}.",
    ("sales_changes", "orders"): "1 of a confirmation, -1 of a void.",
    ("sales_changes", "voids"): "1 of a void, else 0.",
}

_TOLD = """
SELECT c.relname AS view, NULL AS column, obj_description(c.oid, 'pg_class') AS told
FROM pg_class AS c WHERE c.relnamespace = 'read_models'::regnamespace AND c.relname = ANY ($1)
UNION ALL
SELECT c.relname, a.attname, col_description(c.oid, a.attnum)
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'read_models'::regnamespace AND c.relname = ANY ($1) AND a.attnum > 0
"""


def description(view: str, column: str | None) -> str | None:
    """Return what is said of a view (no column) or of its column; None where this build knows nothing."""
    if column is None:
        return VIEWS.get(view)
    return OF_ONE_VIEW.get((view, column), COLUMNS.get(column))


async def undescribed(conn: asyncpg.Connection, views: Sequence[str]) -> list[tuple[str, str | None]]:
    """Return the views (no column), and the columns of views, whose comment is not what is said of them."""
    return [
        (view, column)
        for view, column, told in await conn.fetch(_TOLD, views)
        if told != description(view, column)
    ]


async def describe(conn: asyncpg.Connection, views: Sequence[str]) -> None:
    """Have the comments of views, and of their columns, say what is said of them. For the views' owner."""
    for view, column in await undescribed(conn, views):
        what = f'VIEW read_models."{view}"' if column is None else f'COLUMN read_models."{view}"."{column}"'
        text = description(view, column)
        # COMMENT takes no parameters; the texts are ours.
        quoted = "NULL" if text is None else "'" + text.replace("'", "''") + "'"
        await conn.execute(f"COMMENT ON {what} IS {quoted}")
