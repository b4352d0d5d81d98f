"""`sales`: what was sold per tenant, business day, hour, cashier and currency.

A confirmed order counts with its amounts; a void takes them out and counts as a void of the order's own day
and hour. What each order contributes is kept, so that a change moves the totals by the new contribution minus
the old one. Totals are kept per partition of the topic, so that two projectors never write the same row.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

from readmodels.read_model import OrderChange, ReadModel

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
"""

_VIEW = """
CREATE OR REPLACE VIEW read_models.sales AS
SELECT tenant_id, business_day, hour, cashier_id, currency,
       sum(orders)::bigint AS orders, sum(gross) AS gross, sum(discount) AS discount, sum(net) AS net,
       sum(voids)::bigint AS voids
FROM projections.sales_{generation}_totals
GROUP BY tenant_id, business_day, hour, cashier_id, currency
HAVING (sum(orders), sum(gross), sum(discount), sum(net), sum(voids)) <> (0, 0, 0, 0, 0)
"""

# RETURNING's `old` (PostgreSQL 18) is what the row held at the moment of its change, null for a new row: no
# second look at the table, which could see another state.
_WRITE = """
WITH changed AS (
    INSERT INTO projections.sales_{generation}_orders AS o (
        tenant_id, order_id, version, partition, last_offset, business_day, hour, cashier_id, currency,
        orders, gross, discount, net, voids
    )
    SELECT * FROM unnest(
        $1::text[], $2::uuid[], $3::integer[], $4::integer[], $5::bigint[], $6::date[], $7::smallint[],
        $8::text[], $9::text[], $10::integer[], $11::numeric[], $12::numeric[], $13::numeric[], $14::integer[]
    ) ORDER BY 1, 2
    ON CONFLICT (tenant_id, order_id) DO UPDATE SET
        version = excluded.version, partition = excluded.partition, last_offset = excluded.last_offset,
        business_day = excluded.business_day, hour = excluded.hour, cashier_id = excluded.cashier_id,
        currency = excluded.currency, orders = excluded.orders, gross = excluded.gross,
        discount = excluded.discount, net = excluded.net, voids = excluded.voids
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

_NOTHING = (0, Decimal(0), Decimal(0), Decimal(0))


class Sales(ReadModel):
    """Orders, gross, discount (of lines and orders together), net = gross - discount, and voids."""

    name: ClassVar = "sales"
    version: ClassVar = 1
    orders_table: ClassVar = "projections.sales_{generation}_orders"
    tables_sql: ClassVar = _TABLES
    view_sql: ClassVar = _VIEW
    write_sql: ClassVar = _WRITE
    settle_sql: ClassVar = (_CLEAR, _SUM)

    @staticmethod
    def rows(change: OrderChange) -> Iterable[tuple[object, ...]]:
        """Return what the order contributes, and where."""
        order = change.order
        identity = (order.tenant_id, order.order_id, order.version, change.partition, change.last_offset)
        if not order.confirmed:
            return ((*identity, None, None, order.cashier_id, order.currency, *_NOTHING, 0),)
        place = (order.business_day, order.hour, order.cashier_id, order.currency)
        if order.status == "voided":
            return ((*identity, *place, *_NOTHING, 1),)
        totals = order.totals
        return ((*identity, *place, 1, totals.gross, totals.gross - totals.total, totals.total, 0),)
