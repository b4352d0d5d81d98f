"""`sales`: what was sold per tenant, business day, hour, cashier and currency.

A confirmed order counts with its amounts; a void takes them out and counts as a void of the order's own day
and hour. What each order contributes is kept, so that a change moves the totals by the new contribution minus
the old one. Totals are kept per partition of the topic, so that two projectors never write the same row.

The moves themselves are kept too, each with its time: their sum up to a moment is what sales were then.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

from orders import Order, OrderConfirmed, OrderVoided
from readmodels.event_rows import EventRows, Row, first_version, occurred_by, with_occurred_by
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
    PRIMARY KEY (tenant_id, order_id, version)
);
CREATE INDEX IF NOT EXISTS sales_{generation}_changes_day
    ON projections.sales_{generation}_changes (tenant_id, business_day);
"""

_VIEW = """
CREATE OR REPLACE VIEW read_models.sales AS
SELECT tenant_id, business_day, hour, cashier_id, currency,
       sum(orders)::bigint AS orders, sum(gross) AS gross, sum(discount) AS discount, sum(net) AS net,
       sum(voids)::bigint AS voids
FROM projections.sales_{generation}_totals
GROUP BY tenant_id, business_day, hour, cashier_id, currency
HAVING (sum(orders), sum(gross), sum(discount), sum(net), sum(voids)) <> (0, 0, 0, 0, 0);
CREATE OR REPLACE VIEW read_models.sales_changes AS
SELECT tenant_id, order_id, version, business_day, hour, cashier_id, currency, orders, gross, discount, net,
       voids, recorded_at, occurred_by
FROM projections.sales_{generation}_changes
"""

# RETURNING's `old` (PostgreSQL 18) is what the row held at the moment of its change, null for a new row: no
# second look at the table, which could see another state.
# What goes on from what was applied had not occurred before that. Where another owner of the order has gone
# further meanwhile, its rows stay, and what is past them had not occurred before them either.
_WRITE = """
WITH came AS (
    SELECT *, (
        SELECT o.occurred_by FROM projections.sales_{generation}_orders AS o
        WHERE o.tenant_id = c.tenant_id AND o.order_id = c.order_id
            AND first_version > 1 AND o.version >= first_version - 1
    ) AS occurred_before
    FROM unnest(
        $1::text[], $2::uuid[], $3::integer[], $4::integer[], $5::bigint[], $6::date[], $7::smallint[],
        $8::text[], $9::text[], $10::integer[], $11::numeric[], $12::numeric[], $13::numeric[],
        $14::integer[], $15::timestamptz[], $16::integer[]
    ) AS c (
        tenant_id, order_id, version, partition, last_offset, business_day, hour, cashier_id, currency,
        orders, gross, discount, net, voids, occurred_by, first_version
    )
), written AS (
    INSERT INTO projections.sales_{generation}_changes (
        tenant_id, order_id, version, business_day, hour, cashier_id, currency, orders, gross, discount, net,
        voids, recorded_at, occurred_by
    )
    SELECT e.tenant_id, e.order_id, e.version, e.business_day, e.hour, e.cashier_id, e.currency, e.orders,
           e.gross, e.discount, e.net, e.voids, e.recorded_at, greatest(e.occurred_by, c.occurred_before)
    FROM unnest(
        $17::text[], $18::uuid[], $19::integer[], $20::date[], $21::smallint[], $22::text[], $23::text[],
        $24::integer[], $25::numeric[], $26::numeric[], $27::numeric[], $28::integer[], $29::timestamptz[],
        $30::timestamptz[]
    ) AS e (
        tenant_id, order_id, version, business_day, hour, cashier_id, currency, orders, gross, discount, net,
        voids, recorded_at, occurred_by
    )
    JOIN came AS c ON c.tenant_id = e.tenant_id AND c.order_id = e.order_id
    ORDER BY e.tenant_id, e.order_id, e.version
    ON CONFLICT DO NOTHING
), changed AS (
    INSERT INTO projections.sales_{generation}_orders AS o (
        tenant_id, order_id, version, partition, last_offset, business_day, hour, cashier_id, currency,
        orders, gross, discount, net, voids, occurred_by
    )
    SELECT tenant_id, order_id, version, partition, last_offset, business_day, hour, cashier_id, currency,
           orders, gross, discount, net, voids, greatest(occurred_by, occurred_before)
    FROM came ORDER BY tenant_id, order_id
    ON CONFLICT (tenant_id, order_id) DO UPDATE SET
        version = excluded.version, partition = excluded.partition, last_offset = excluded.last_offset,
        business_day = excluded.business_day, hour = excluded.hour, cashier_id = excluded.cashier_id,
        currency = excluded.currency, orders = excluded.orders, gross = excluded.gross,
        discount = excluded.discount, net = excluded.net, voids = excluded.voids,
        occurred_by = excluded.occurred_by
    {unless_newer}
    RETURNING
        new.tenant_id,
        new.business_day, new.hour, new.cashier_id, new.currency, new.partition,
        new.orders, new.gross, new.discount, new.net, new.voids,
        old.business_day AS old_business_day, old.hour AS old_hour, old.cashier_id AS old_cashier_id,
        old.currency AS old_currency, old.partition AS old_partition, old.orders AS old_orders,
        old.gross AS old_gross, old.discount AS old_discount, old.net AS old_net, old.voids AS old_voids
), moves AS (
    SELECT tenant_id, business_day, hour, cashier_id, currency, partition,
           orders, gross, discount, net, voids
    FROM changed WHERE business_day IS NOT NULL
    UNION ALL
    SELECT tenant_id, old_business_day, old_hour, old_cashier_id, old_currency, old_partition,
           -old_orders, -old_gross, -old_discount, -old_net, -old_voids
    FROM changed WHERE old_business_day IS NOT NULL
)
INSERT INTO projections.sales_{generation}_totals AS t
SELECT tenant_id, business_day, hour, cashier_id, currency, partition,
       sum(orders), sum(gross), sum(discount), sum(net), sum(voids)
FROM moves
GROUP BY tenant_id, business_day, hour, cashier_id, currency, partition
ORDER BY tenant_id, business_day, hour, cashier_id, currency, partition
ON CONFLICT (tenant_id, business_day, hour, cashier_id, currency, partition) DO UPDATE SET
    orders = t.orders + excluded.orders, gross = t.gross + excluded.gross,
    discount = t.discount + excluded.discount, net = t.net + excluded.net, voids = t.voids + excluded.voids
"""

_CLEAR = "DELETE FROM projections.sales_{generation}_totals WHERE partition = $1"

_SUM = """
INSERT INTO projections.sales_{generation}_totals
SELECT tenant_id, business_day, hour, cashier_id, currency, partition,
       sum(orders), sum(gross), sum(discount), sum(net), sum(voids)
FROM projections.sales_{generation}_orders
WHERE partition = $1 AND business_day IS NOT NULL
GROUP BY tenant_id, business_day, hour, cashier_id, currency, partition
"""

# One statement, so that both sides are of one moment.
_CHECK = """
WITH contributed AS (
    SELECT tenant_id, business_day, hour, cashier_id, currency, partition,
           sum(orders) AS orders, sum(gross) AS gross, sum(discount) AS discount, sum(net) AS net,
           sum(voids) AS voids
    FROM projections.sales_{generation}_orders WHERE business_day IS NOT NULL
    GROUP BY tenant_id, business_day, hour, cashier_id, currency, partition
)
SELECT tenant_id, business_day, hour, cashier_id, currency, partition,
       coalesce(t.orders, 0) AS found_orders, coalesce(c.orders, 0) AS due_orders,
       coalesce(t.gross, 0) AS found_gross, coalesce(c.gross, 0) AS due_gross,
       coalesce(t.discount, 0) AS found_discount, coalesce(c.discount, 0) AS due_discount,
       coalesce(t.net, 0) AS found_net, coalesce(c.net, 0) AS due_net,
       coalesce(t.voids, 0) AS found_voids, coalesce(c.voids, 0) AS due_voids
FROM projections.sales_{generation}_totals AS t
FULL JOIN contributed AS c USING (tenant_id, business_day, hour, cashier_id, currency, partition)
WHERE (coalesce(t.orders, 0), coalesce(t.gross, 0), coalesce(t.discount, 0), coalesce(t.net, 0),
       coalesce(t.voids, 0))
    <> (coalesce(c.orders, 0), coalesce(c.gross, 0), coalesce(c.discount, 0), coalesce(c.net, 0),
        coalesce(c.voids, 0))
ORDER BY tenant_id, business_day, hour, cashier_id, currency, partition
"""

_NOTHING = (0, Decimal(0), Decimal(0), Decimal(0), 0)


class Sales(EventRows):
    """Orders, gross, discount (of lines and orders together), net = gross - discount, and voids."""

    name: ClassVar = "sales"
    version: ClassVar = 2
    orders_table: ClassVar = "projections.sales_{generation}_orders"
    entries_table: ClassVar = "projections.sales_{generation}_changes"
    further_tables: ClassVar = (entries_table,)
    further_views: ClassVar = ("sales_changes",)
    entry_columns: ClassVar = 14
    tables_sql: ClassVar = _TABLES
    view_sql: ClassVar = _VIEW
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
            contributed = (*_NOTHING[:-1], int(order.confirmed))
        place = _place(order) if order.confirmed else (None, None, order.cashier_id, order.currency)
        return ((*row, *place, *contributed, occurred_by(change), first_version(change)),)

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
    return (sign, *(sign * amount for amount in amounts), 0)
