"""`order_summary`: one row per order, as it stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

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
    partition integer NOT NULL,
    last_offset bigint NOT NULL,
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
"""

_VIEW = """
CREATE OR REPLACE VIEW read_models.order_summary AS
SELECT order_id, tenant_id, status, cashier_id, currency, business_day, line_count,
       subtotal, discount, total, version, created_at, updated_at
FROM projections.order_summary_{generation}
"""

_WRITE = """
INSERT INTO projections.order_summary_{generation} AS o (
    tenant_id, order_id, status, cashier_id, currency, business_day, line_count, subtotal, discount, total,
    version, created_at, updated_at, partition, last_offset
)
SELECT * FROM unnest(
    $1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::date[], $7::integer[], $8::numeric[],
    $9::numeric[], $10::numeric[], $11::integer[], $12::timestamptz[], $13::timestamptz[], $14::integer[],
    $15::bigint[]
) ORDER BY 1, 2
ON CONFLICT (tenant_id, order_id) DO UPDATE SET
    status = excluded.status, cashier_id = excluded.cashier_id, currency = excluded.currency,
    business_day = excluded.business_day, line_count = excluded.line_count, subtotal = excluded.subtotal,
    discount = excluded.discount, total = excluded.total, version = excluded.version,
    created_at = excluded.created_at, updated_at = excluded.updated_at, partition = excluded.partition,
    last_offset = excluded.last_offset
{unless_newer}
"""


class OrderSummary(ReadModel):
    """One row an order; subtotal (after line discounts) - discount (that of the whole order) = total."""

    name: ClassVar = "order_summary"
    version: ClassVar = 2
    orders_table: ClassVar = "projections.order_summary_{generation}"
    tables_sql: ClassVar = _TABLES
    view_sql: ClassVar = _VIEW
    write_sql: ClassVar = _WRITE

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
            change.partition,
            change.last_offset,
        )
        return (row,)
