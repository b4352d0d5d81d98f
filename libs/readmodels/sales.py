"""`sales`: what was sold per tenant, business day, hour, cashier and currency.

A confirmed order counts with its amounts; a void takes them out and counts as a void of the order's own day
and hour. What each order contributes is kept, so that a change moves the totals by the new contribution minus
the old one. Totals are kept per partition of the topic, so that two projectors never write the same row.

The moves themselves are kept too, each with its time: their sum up to a moment is what sales were then.
"""

from collections.abc import Iterable
from typing import ClassVar

from orders import Order, OrderConfirmed, OrderVoided
from orders.money import no_money
from readmodels.columns import AMOUNT, Columns
from readmodels.event_rows import EventRows, Row, time_of, timed_ctes, timed_upsert, with_occurred_by
from readmodels.read_model import OrderChange

_TABLES = """
CREATE TABLE IF NOT EXISTS projections.sales_{generation}_orders (
    tenant_id text NOT NULL,
    order_id uuid NOT NULL,
    version integer NOT NULL,
    partition integer NOT NULL,
    last_offset bigint NOT NULL,
    -- What the order contributes, and to which totals: no day and hour before it is confirmed.
    business_day date,
    hour smallint,
    cashier_id text NOT NULL,
    currency text NOT NULL,
    orders integer NOT NULL,
    gross numeric NOT NULL,
    discount numeric NOT NULL,
    net numeric NOT NULL,
    voids integer NOT NULL,
    occurred_by timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, order_id)
) WITH (fillfactor = 80);  -- room for the next version of a row on its page
CREATE INDEX IF NOT EXISTS sales_{generation}_orders_partition
    ON projections.sales_{generation}_orders (partition, tenant_id, order_id);
CREATE TABLE IF NOT EXISTS projections.sales_{generation}_totals (
    tenant_id text NOT NULL,
    business_day date NOT NULL,
    hour smallint NOT NULL,
    cashier_id text NOT NULL,
    currency text NOT NULL,
    partition integer NOT NULL,
    orders bigint NOT NULL,
    gross numeric NOT NULL,
    discount numeric NOT NULL,
    net numeric NOT NULL,
    voids bigint NOT NULL,
    PRIMARY KEY (tenant_id, business_day, hour, cashier_id, currency, partition)
) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS projections.sales_{generation}_changes (
    tenant_id text NOT NULL,
    order_id uuid NOT NULL,
    version integer NOT NULL,
    business_day date NOT NULL,
    hour smallint NOT NULL,
    cashier_id text NOT NULL,
    currency text NOT NULL,
    orders integer NOT NULL,
    gross numeric NOT NULL,
    discount numeric NOT NULL,
    net numeric NOT NULL,
    voids integer NOT NULL,
    recorded_at timestamptz NOT NULL,
    -- By then it had occurred with all that came before it in its order, by the terminals' clocks.
    occurred_by timestamptz NOT NULL,
    changed bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    PRIMARY KEY (tenant_id, order_id, version)
);
CREATE INDEX IF NOT EXISTS sales_{generation}_changes_day
    ON projections.sales_{generation}_changes (tenant_id, business_day);
-- Small, and no update of a row is one of it: what changed since a look is mostly on the newest pages.
CREATE INDEX IF NOT EXISTS sales_{generation}_changes_changed
    ON projections.sales_{generation}_changes USING brin (changed) WITH (autosummarize = on);
"""

_CHANGES = Columns.of(_TABLES, "projections.sales_{generation}_changes")
_ORDERS = Columns.of(_TABLES, "projections.sales_{generation}_orders")
_TOTALS_TABLE = "projections.sales_{generation}_totals"
_KEY = "tenant_id, business_day, hour, cashier_id, currency, partition"
_AMOUNTS = ("orders", "gross", "discount", "net", "voids")


def _each(text: str) -> str:
    """Say the same of each amount, which the text calls `@`."""
    return ", ".join(text.replace("@", amount) for amount in _AMOUNTS)


_VIEW = f"""
CREATE OR REPLACE VIEW read_models.sales AS
SELECT tenant_id, business_day, hour, cashier_id, currency,
       sum(orders)::bigint AS orders, sum(gross)::{AMOUNT} AS gross, sum(discount)::{AMOUNT} AS discount,
       sum(net)::{AMOUNT} AS net, sum(voids)::bigint AS voids
FROM {_TOTALS_TABLE}
GROUP BY tenant_id, business_day, hour, cashier_id, currency
HAVING ({_each("sum(@)")}) <> (0, 0, 0, 0, 0);
CREATE OR REPLACE VIEW read_models.sales_changes AS
SELECT {_CHANGES.shown()}, changed FROM {_CHANGES.table}
"""  # noqa: S608 - constants of ours

# RETURNING's `old` (PostgreSQL 18) is what the row held at the moment of its change, null for a new row: no
# second look at the table, which could see another state.
_WITH = f"""
{timed_ctes(_ORDERS, _CHANGES, "e.version")}, changed AS (
    {timed_upsert(_ORDERS)}
    RETURNING
        new.tenant_id, new.business_day, new.hour, new.cashier_id, new.currency, new.partition,
        old.business_day AS old_business_day, old.hour AS old_hour, old.cashier_id AS old_cashier_id,
        old.currency AS old_currency, old.partition AS old_partition,
        {_each("new.@, old.@ AS old_@")}
), moves AS (
    SELECT {_KEY}, {_each("@")} FROM changed WHERE business_day IS NOT NULL
    UNION ALL
    SELECT tenant_id, old_business_day, old_hour, old_cashier_id, old_currency, old_partition,
           {_each("-old_@")}
    FROM changed WHERE old_business_day IS NOT NULL
)
"""  # noqa: S608 - constants of ours
_WRITE = f"""
INSERT INTO {_TOTALS_TABLE} AS t ({_KEY}, {_each("@")})
SELECT {_KEY}, {_each("sum(@)")} FROM moves GROUP BY {_KEY} ORDER BY {_KEY}
ON CONFLICT ({_KEY}) DO UPDATE SET {_each("@ = t.@ + excluded.@")}
"""  # noqa: S608 - constants of ours

_CLEAR = f"DELETE FROM {_TOTALS_TABLE} WHERE partition = $1"  # noqa: S608 - constants of ours

_SUM = f"""
INSERT INTO {_TOTALS_TABLE} ({_KEY}, {_each("@")})
SELECT {_KEY}, {_each("sum(@)")} FROM {_ORDERS.table}
WHERE partition = $1 AND business_day IS NOT NULL GROUP BY {_KEY}
"""  # noqa: S608 - constants of ours

# One statement, so that both sides are of one moment. What is missing is zero, with the other's decimals.
_CHECK = f"""
WITH contributed AS (
    SELECT {_KEY}, {_each("sum(@) AS @")} FROM {_ORDERS.table} WHERE business_day IS NOT NULL GROUP BY {_KEY}
)
SELECT {_KEY}, {_each("coalesce(t.@, 0 * c.@) AS found_@, coalesce(c.@, 0 * t.@) AS due_@")}
FROM {_TOTALS_TABLE} AS t FULL JOIN contributed AS c USING ({_KEY})
WHERE ({_each("coalesce(t.@, 0)")}) <> ({_each("coalesce(c.@, 0)")})
ORDER BY {_KEY}
"""  # noqa: S608 - constants of ours


class Sales(EventRows):
    """Orders, gross, discount (of lines and orders together), net = gross - discount, and voids."""

    name: ClassVar = "sales"
    version: ClassVar = 5
    orders_table: ClassVar = _ORDERS.table
    further_tables: ClassVar = (_CHANGES.table,)
    further_views: ClassVar = ("sales_changes",)
    entry_columns: ClassVar = len(_CHANGES)
    tables_sql: ClassVar = _TABLES
    view_sql: ClassVar = _VIEW
    with_sql: ClassVar = _WITH
    write_sql: ClassVar = _WRITE
    settle_sql: ClassVar = (_CLEAR, _SUM)
    check_sql: ClassVar = _CHECK

    @staticmethod
    def rows(change: OrderChange) -> Iterable[Row]:
        """Return what the order contributes, and where; and the version of the change's first event."""
        order = change.order
        row = (order.tenant_id, order.order_id, order.version, change.partition, change.last_offset)
        if order.status == "confirmed":
            contributed = _sold(order, 1)
        else:
            # With the currency's decimals like any amount: a bare 0 makes totals print as their batches fell.
            nothing = no_money(order.minor_unit)
            contributed = (0, nothing, nothing, nothing, int(order.confirmed))
        place = _place(order) if order.confirmed else (None, None, order.cashier_id, order.currency)
        return ((*row, *place, *contributed, *time_of(change)),)

    @staticmethod
    def entries(change: OrderChange) -> Iterable[Row]:
        """Return how the order's contribution moves: at its confirmation, and at its void after that."""
        for (event, provenance, before, after), time in with_occurred_by(change):
            match event.data:
                case OrderConfirmed():
                    moved = _sold(after, 1)
                case OrderVoided() if before.confirmed:
                    moved = (*_sold(before, -1)[:-1], 1)
                case _:
                    continue
            row = (after.tenant_id, after.order_id, after.version, *_place(after))
            yield (*row, *moved, provenance.recorded_at, time)


def _place(order: Order) -> Row:
    return (order.business_day, order.hour, order.cashier_id, order.currency)


def _sold(order: Order, sign: int) -> Row:
    """Return a sale's orders, gross, discount, net and voids, or those that take it back."""
    totals = order.totals
    amounts = (totals.gross, totals.gross - totals.total, totals.total)
    # -1 * 0.00 would be -0.00.
    return (sign, *(amount if sign > 0 else -amount for amount in amounts), 0)
