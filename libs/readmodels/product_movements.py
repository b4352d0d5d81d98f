"""`product_movements`: what left the shelf when an order was confirmed, and came back when it was voided.

One row per line of the order, with its share of the order's discount; a void's rows have the signs turned.
Their sum up to a moment is what was sold by then. An order that is voided without having been confirmed
moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from orders import Order, OrderConfirmed, OrderVoided
from readmodels.event_rows import EventRows, Row, first_version, occurred_by, with_occurred_by
from readmodels.read_model import OrderChange

_TABLES = """
CREATE TABLE IF NOT EXISTS projections.product_movements_{generation} (
    tenant_id text COLLATE "C" NOT NULL,
    order_id uuid NOT NULL,
    version integer NOT NULL,
    line_id text COLLATE "C" NOT NULL,
    product_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    business_day date NOT NULL,
    hour smallint NOT NULL,
    cashier_id text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    quantity numeric NOT NULL,
    gross numeric NOT NULL,
    discount numeric NOT NULL,
    net numeric NOT NULL,
    recorded_at timestamptz NOT NULL,
    -- By then it had occurred with all that came before it in its order, by the terminals' clocks.
    occurred_by timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, order_id, version, line_id)
);
CREATE INDEX IF NOT EXISTS product_movements_{generation}_product
    ON projections.product_movements_{generation} (tenant_id, product_id, business_day);
CREATE INDEX IF NOT EXISTS product_movements_{generation}_day
    ON projections.product_movements_{generation} (tenant_id, business_day);
CREATE TABLE IF NOT EXISTS projections.product_movements_{generation}_orders (
    tenant_id text COLLATE "C" NOT NULL,
    order_id uuid NOT NULL,
    version integer NOT NULL,
    partition integer NOT NULL,
    last_offset bigint NOT NULL,
    occurred_by timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, order_id)
) WITH (fillfactor = 80);  -- room for the next version of a row on its page
CREATE INDEX IF NOT EXISTS product_movements_{generation}_orders_partition
    ON projections.product_movements_{generation}_orders (partition, tenant_id, order_id);
"""

_VIEW = """
CREATE OR REPLACE VIEW read_models.product_movements AS
SELECT tenant_id, order_id, version, line_id, product_id, name, business_day, hour, cashier_id, currency,
       quantity, gross, discount, net, recorded_at, occurred_by
FROM projections.product_movements_{generation}
"""

# What goes on from what was applied had not occurred before that. Where another owner of the order has gone
# further meanwhile, its rows stay, and what is past them had not occurred before them either.
_WRITE = """
WITH came AS (
    SELECT *, (
        SELECT o.occurred_by FROM projections.product_movements_{generation}_orders AS o
        WHERE o.tenant_id = c.tenant_id AND o.order_id = c.order_id
            AND first_version > 1 AND o.version >= first_version - 1
    ) AS occurred_before
    FROM unnest(
        $1::text[], $2::uuid[], $3::integer[], $4::integer[], $5::bigint[], $6::timestamptz[], $7::integer[]
    ) AS c (tenant_id, order_id, version, partition, last_offset, occurred_by, first_version)
), written AS (
    INSERT INTO projections.product_movements_{generation} (
        tenant_id, order_id, version, line_id, product_id, name, business_day, hour, cashier_id, currency,
        quantity, gross, discount, net, recorded_at, occurred_by
    )
    SELECT e.tenant_id, e.order_id, e.version, e.line_id, e.product_id, e.name, e.business_day, e.hour,
           e.cashier_id, e.currency, e.quantity, e.gross, e.discount, e.net, e.recorded_at,
           greatest(e.occurred_by, c.occurred_before)
    FROM unnest(
        $8::text[], $9::uuid[], $10::integer[], $11::text[], $12::text[], $13::text[], $14::date[],
        $15::smallint[], $16::text[], $17::text[], $18::numeric[], $19::numeric[], $20::numeric[],
        $21::numeric[], $22::timestamptz[], $23::timestamptz[]
    ) AS e (
        tenant_id, order_id, version, line_id, product_id, name, business_day, hour, cashier_id, currency,
        quantity, gross, discount, net, recorded_at, occurred_by
    )
    JOIN came AS c ON c.tenant_id = e.tenant_id AND c.order_id = e.order_id
    ORDER BY e.tenant_id, e.order_id, e.version, e.line_id
    ON CONFLICT DO NOTHING
)
INSERT INTO projections.product_movements_{generation}_orders AS o (
    tenant_id, order_id, version, partition, last_offset, occurred_by
)
SELECT tenant_id, order_id, version, partition, last_offset, greatest(occurred_by, occurred_before)
FROM came ORDER BY tenant_id, order_id
ON CONFLICT (tenant_id, order_id) DO UPDATE SET
    version = excluded.version, partition = excluded.partition, last_offset = excluded.last_offset,
    occurred_by = excluded.occurred_by
{unless_newer}
"""


class ProductMovements(EventRows):
    """Quantity, gross, discount and net = gross - discount of each line, sold (+) and voided (-)."""

    name: ClassVar = "product_movements"
    version: ClassVar = 1
    orders_table: ClassVar = "projections.product_movements_{generation}_orders"
    entries_table: ClassVar = "projections.product_movements_{generation}"
    further_tables: ClassVar = (entries_table,)
    entry_columns: ClassVar = 16
    tables_sql: ClassVar = _TABLES
    view_sql: ClassVar = _VIEW
    write_sql: ClassVar = _WRITE

    @staticmethod
    def rows(change: OrderChange) -> Iterable[Row]:
        """Return the order's row, and the version of the change's first event."""
        order = change.order
        row = (order.tenant_id, order.order_id, order.version, change.partition, change.last_offset)
        return ((*row, occurred_by(change), first_version(change)),)

    @staticmethod
    def entries(change: OrderChange) -> Iterable[Row]:
        """Return a row for each line that was sold, and one for each that a void takes back."""
        for (event, provenance, before, after), time in with_occurred_by(change):
            match event.data:
                case OrderConfirmed():
                    moved, sign = after, 1
                case OrderVoided() if before.confirmed:
                    moved, sign = before, -1
                case _:
                    continue
            for line in _lines(moved, sign):
                yield (after.tenant_id, after.order_id, after.version, *line, provenance.recorded_at, time)


def _lines(order: Order, sign: int) -> Iterable[Row]:
    sale = (order.business_day, order.hour, order.cashier_id, order.currency)
    for line, amounts in zip(order.lines, order.totals.lines, strict=True):
        discount = amounts.discount + amounts.order_discount
        moved = (line.quantity, amounts.gross, discount, amounts.gross - discount)
        yield (line.line_id, line.product_id, line.name, *sale, *(sign * each for each in moved))
