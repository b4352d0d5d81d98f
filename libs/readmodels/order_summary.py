"""`order_summary`: one row per order, as it stands."""

from collections.abc import Iterable
from typing import ClassVar

from readmodels.columns import AMOUNT, Columns
from readmodels.read_model import OrderChange, ReadModel

_TABLES = """
CREATE TABLE IF NOT EXISTS projections.order_summary_{generation} (
    tenant_id text NOT NULL,
    order_id uuid NOT NULL,
    status text NOT NULL,
    cashier_id text NOT NULL,
    currency text NOT NULL,
    business_day date NOT NULL,
    line_count integer NOT NULL,
    subtotal numeric NOT NULL,
    discount numeric NOT NULL,
    total numeric NOT NULL,
    version integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- When the newest event was recorded, by the store's clock.
    recorded_at timestamptz NOT NULL,
    partition integer NOT NULL,
    last_offset bigint NOT NULL,
    changed bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    PRIMARY KEY (tenant_id, order_id)
) WITH (fillfactor = 80);  -- room for the next version of a row on its page
CREATE INDEX IF NOT EXISTS order_summary_{generation}_partition
    ON projections.order_summary_{generation} (partition, tenant_id, order_id);
-- Lists go by these. None on what changes with every event: such an update would be one of all indexes.
CREATE INDEX IF NOT EXISTS order_summary_{generation}_created
    ON projections.order_summary_{generation} (tenant_id, created_at, order_id);
CREATE INDEX IF NOT EXISTS order_summary_{generation}_day
    ON projections.order_summary_{generation} (tenant_id, business_day, order_id);
CREATE INDEX IF NOT EXISTS order_summary_{generation}_cashier
    ON projections.order_summary_{generation} (tenant_id, cashier_id, created_at, order_id);
-- Small, and no update of a row is one of it: what changed since a look is mostly on the newest pages.
CREATE INDEX IF NOT EXISTS order_summary_{generation}_changed
    ON projections.order_summary_{generation} USING brin (changed) WITH (autosummarize = on);
"""

_VIEW = f"""
CREATE OR REPLACE VIEW read_models.order_summary AS
SELECT order_id, tenant_id, status, cashier_id, currency, business_day, line_count,
       subtotal::{AMOUNT} AS subtotal, discount::{AMOUNT} AS discount, total::{AMOUNT} AS total,
       version, created_at, updated_at, recorded_at, changed
FROM projections.order_summary_{{generation}}
"""  # noqa: S608 - constants of ours

_COLUMNS = Columns.of(_TABLES, "projections.order_summary_{generation}")


class OrderSummary(ReadModel):
    """One row an order; subtotal (after line discounts) - discount (that of the whole order) = total."""

    name: ClassVar = "order_summary"
    version: ClassVar = 4
    orders_table: ClassVar = _COLUMNS.table
    tables_sql: ClassVar = _TABLES
    view_sql: ClassVar = _VIEW
    write_sql: ClassVar = _COLUMNS.upsert(_COLUMNS.given("c"))

    @staticmethod
    def rows(change: OrderChange) -> Iterable[tuple[object, ...]]:
        """Return the order's row."""
        order = change.order
        totals = order.totals
        row = (
            order.tenant_id,
            order.order_id,
            order.status,
            order.cashier_id,
            order.currency,
            order.business_day,
            len(order.lines),
            totals.subtotal,
            totals.order_discount,
            totals.total,
            order.version,
            order.created_at,
            order.updated_at,
            change.recorded_at,
            change.partition,
            change.last_offset,
        )
        return (row,)
