"""`process_steps`: one row per event, with the one before it and how long it took.

From them the process map: which type of event follows which, how often and after how long; and how orders
begin. How they end so far, each order's row tells.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import ClassVar

from readmodels.columns import Columns
from readmodels.event_rows import EventRows, Row, entries_cte
from readmodels.read_model import OrderChange

_TABLES = """
CREATE TABLE IF NOT EXISTS projections.process_steps_{generation} (
    tenant_id text COLLATE "C" NOT NULL,
    order_id uuid NOT NULL,
    version integer NOT NULL,
    -- Null for the first event of an order.
    from_type text COLLATE "C",
    to_type text COLLATE "C" NOT NULL,
    -- Null for the first. By the terminals' clocks, and never below zero: a clock may have been set back.
    wait interval,
    business_day date NOT NULL,
    changed bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    PRIMARY KEY (tenant_id, order_id, version)
);
CREATE INDEX IF NOT EXISTS process_steps_{generation}_day
    ON projections.process_steps_{generation} (tenant_id, business_day);
-- Small, and no update of a row is one of it: what changed since a look is mostly on the newest pages.
CREATE INDEX IF NOT EXISTS process_steps_{generation}_changed
    ON projections.process_steps_{generation} USING brin (changed) WITH (autosummarize = on);
CREATE TABLE IF NOT EXISTS projections.process_steps_{generation}_orders (
    tenant_id text COLLATE "C" NOT NULL,
    order_id uuid NOT NULL,
    version integer NOT NULL,
    partition integer NOT NULL,
    last_offset bigint NOT NULL,
    -- The type of its newest event: the next step comes from it.
    last_type text COLLATE "C" NOT NULL,
    business_day date NOT NULL,
    changed bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    PRIMARY KEY (tenant_id, order_id)
) WITH (fillfactor = 80);  -- room for the next version of a row on its page
CREATE INDEX IF NOT EXISTS process_steps_{generation}_orders_partition
    ON projections.process_steps_{generation}_orders (partition, tenant_id, order_id);
CREATE INDEX IF NOT EXISTS process_steps_{generation}_orders_day
    ON projections.process_steps_{generation}_orders (tenant_id, business_day);
"""

_STEPS = Columns.of(_TABLES, "projections.process_steps_{generation}")
_ORDERS = Columns.of(_TABLES, "projections.process_steps_{generation}_orders")
_VIEW = f"""
CREATE OR REPLACE VIEW read_models.process_steps AS
SELECT {_STEPS}, changed FROM {_STEPS.table};
CREATE OR REPLACE VIEW read_models.process_ends AS
SELECT tenant_id, order_id, version, last_type, business_day, changed FROM {_ORDERS.table}
"""  # noqa: S608 - constants of ours
# A change that goes on from what was applied begins with a step from that. Where another owner of the order
# has gone further meanwhile, the change's first step is there already.
_FROM_TYPE = f"""
    CASE WHEN from_type IS NULL AND version > 1 THEN (
        SELECT o.last_type FROM {_ORDERS.table} AS o
        WHERE o.tenant_id = e.tenant_id AND o.order_id = e.order_id AND o.version = e.version - 1
    ) ELSE from_type END
"""  # noqa: S608 - constants of ours

_NO_WAIT = timedelta(0)


class ProcessSteps(EventRows):
    """Each event of an order with the type of the one before it and the time between them."""

    name: ClassVar = "process_steps"
    version: ClassVar = 2
    orders_table: ClassVar = _ORDERS.table
    further_tables: ClassVar = (_STEPS.table,)
    further_views: ClassVar = ("process_ends",)
    entry_columns: ClassVar = len(_STEPS)
    tables_sql: ClassVar = _TABLES
    view_sql: ClassVar = _VIEW
    with_sql: ClassVar = entries_cte(_ORDERS, _STEPS, from_type=_FROM_TYPE)
    write_sql: ClassVar = _ORDERS.upsert(_ORDERS.given("c"))

    @staticmethod
    def rows(change: OrderChange) -> Iterable[Row]:
        """Return the order's row."""
        order = change.order
        last_type = change.events[-1].event.data.type
        row = (order.tenant_id, order.order_id, order.version, change.partition, change.last_offset)
        return ((*row, last_type, order.business_day),)

    @staticmethod
    def entries(change: OrderChange) -> Iterable[Row]:
        """Return a step for each event."""
        from_type: str | None = None
        for event, _, before, after in change.events:
            # What an order was last changed at is when the event before this one occurred.
            since = before.updated_at
            wait = None if since is None else max(_NO_WAIT, event.occurred_at - since)
            to_type = event.data.type
            yield (
                after.tenant_id,
                after.order_id,
                after.version,
                from_type,
                to_type,
                wait,
                after.business_day,
            )
            from_type = to_type
