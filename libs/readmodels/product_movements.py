"""`product_movements`: what left the shelf when an order was confirmed, and came back when it was voided.

One row per line of the order, with its share of the order's discount; a void's rows have the signs turned.
Their sum up to a moment is what was sold by then. An order that is voided without having been confirmed
moves nothing.
"""

from collections.abc import Iterable
from typing import ClassVar

from orders import Order, OrderConfirmed, OrderVoided
from readmodels.columns import Columns
from readmodels.event_rows import EventRows, Row, time_of, timed_ctes, timed_upsert, with_occurred_by
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
    changed bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    PRIMARY KEY (tenant_id, order_id, version, line_id)
);
CREATE INDEX IF NOT EXISTS product_movements_{generation}_product
    ON projections.product_movements_{generation} (tenant_id, product_id, business_day);
CREATE INDEX IF NOT EXISTS product_movements_{generation}_day
    ON projections.product_movements_{generation} (tenant_id, business_day);
-- Small, and no update of a row is one of it: what changed since a look is mostly on the newest pages.
CREATE INDEX IF NOT EXISTS product_movements_{generation}_changed
    ON projections.product_movements_{generation} USING brin (changed) WITH (autosummarize = on);
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

_MOVEMENTS = Columns.of(_TABLES, "projections.product_movements_{generation}")
_ORDERS = Columns.of(_TABLES, "projections.product_movements_{generation}_orders")
_VIEW = f"""
CREATE OR REPLACE VIEW read_models.product_movements AS
SELECT {_MOVEMENTS.shown()}, changed FROM {_MOVEMENTS.table}
"""  # noqa: S608 - constants of ours


class ProductMovements(EventRows):
    """Quantity, gross, discount and net = gross - discount of each line, sold (+) and voided (-)."""

    name: ClassVar = "product_movements"
    version: ClassVar = 3
    orders_table: ClassVar = _ORDERS.table
    further_tables: ClassVar = (_MOVEMENTS.table,)
    entry_columns: ClassVar = len(_MOVEMENTS)
    tables_sql: ClassVar = _TABLES
    view_sql: ClassVar = _VIEW
    with_sql: ClassVar = timed_ctes(_ORDERS, _MOVEMENTS, "e.version, e.line_id")
    write_sql: ClassVar = timed_upsert(_ORDERS)

    @staticmethod
    def rows(change: OrderChange) -> Iterable[Row]:
        """Return the order's row, and the version of the change's first event."""
        order = change.order
        row = (order.tenant_id, order.order_id, order.version, change.partition, change.last_offset)
        return ((*row, *time_of(change)),)

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
        signed = moved if sign > 0 else tuple(-each for each in moved)
        yield (line.line_id, line.product_id, line.name, *sale, *signed)
