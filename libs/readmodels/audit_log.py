"""`audit_log`: one row per event, with what it changed; the view adds the commands that were refused.

Events come from the topic. Refused commands change nothing and are no events: they lie in the event store's
`command_outcomes`, and the view reads them there.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from pydantic_core import to_json

from readmodels.changed_fields import changed_fields
from readmodels.columns import Columns
from readmodels.event_rows import EventRows, Row, entries_cte
from readmodels.read_model import OrderChange

_TABLES = """
CREATE TABLE IF NOT EXISTS projections.audit_log_{generation} (
    -- Compared by code point as in the event store: the union of two collations could not be sorted.
    tenant_id text COLLATE "C" NOT NULL,
    order_id uuid NOT NULL,
    version integer NOT NULL,
    kind text NOT NULL,
    actor text NOT NULL,
    authorised_by text,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    command_id uuid NOT NULL,
    correlation_id text NOT NULL,
    undoes integer[] NOT NULL,
    redoes integer[] NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    -- What the event names: which line, and of a new line which product.
    line_id text COLLATE "C",
    product_id text COLLATE "C",
    changed bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    PRIMARY KEY (tenant_id, order_id, version)
);
-- The newest rows are asked for most: of a tenant, and by operators of all.
CREATE INDEX IF NOT EXISTS audit_log_{generation}_recorded
    ON projections.audit_log_{generation} (recorded_at);
CREATE INDEX IF NOT EXISTS audit_log_{generation}_tenant
    ON projections.audit_log_{generation} (tenant_id, recorded_at);
-- All orders that ever had a product, or a line of this id.
CREATE INDEX IF NOT EXISTS audit_log_{generation}_product
    ON projections.audit_log_{generation} (tenant_id, product_id, order_id) WHERE product_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS audit_log_{generation}_line
    ON projections.audit_log_{generation} (tenant_id, line_id, order_id) WHERE line_id IS NOT NULL;
-- The few that came from terminals whose clocks were ahead.
CREATE INDEX IF NOT EXISTS audit_log_{generation}_clock_ahead
    ON projections.audit_log_{generation} (tenant_id, recorded_at) WHERE occurred_at > recorded_at;
-- Small, and no update of a row is one of it: what changed since a look is mostly on the newest pages.
CREATE INDEX IF NOT EXISTS audit_log_{generation}_changed
    ON projections.audit_log_{generation} USING brin (changed) WITH (autosummarize = on);
CREATE TABLE IF NOT EXISTS projections.audit_log_{generation}_orders (
    tenant_id text COLLATE "C" NOT NULL,
    order_id uuid NOT NULL,
    version integer NOT NULL,
    partition integer NOT NULL,
    last_offset bigint NOT NULL,
    PRIMARY KEY (tenant_id, order_id)
) WITH (fillfactor = 80);  -- room for the next version of a row on its page
CREATE INDEX IF NOT EXISTS audit_log_{generation}_orders_partition
    ON projections.audit_log_{generation}_orders (partition, tenant_id, order_id);
"""

# The projector may read the refused commands through a view of the tables' owner, and not command_outcomes:
# it needs neither accepted commands nor what was in the refused ones. That view belongs to no generation:
# another generation of this one reads the same.
_VIEW = """
CREATE OR REPLACE VIEW read_models.audit_log AS
SELECT tenant_id, order_id, version, kind, actor, authorised_by, occurred_at, recorded_at, command_id,
       correlation_id, undoes, redoes, before, after,
       NULL::text AS command_type, NULL::text AS code, NULL::text AS message, line_id, product_id,
       changed
FROM projections.audit_log_{generation}
UNION ALL
SELECT tenant_id, order_id, NULL, 'refused', actor, authorised_by, occurred_at, recorded_at, command_id,
       NULL, NULL, NULL, NULL, NULL,
       command_type, code, message, NULL, NULL,
       changed
FROM public.refused_commands
"""

_ENTRIES = Columns.of(_TABLES, "projections.audit_log_{generation}")
_ORDERS = Columns.of(_TABLES, "projections.audit_log_{generation}_orders")


class AuditLog(EventRows):
    """Who did and who authorised what, when, by which command, and the order's changed fields."""

    name: ClassVar = "audit_log"
    version: ClassVar = 3
    orders_table: ClassVar = _ORDERS.table
    further_tables: ClassVar = (_ENTRIES.table,)
    entry_columns: ClassVar = len(_ENTRIES)
    tables_sql: ClassVar = _TABLES
    view_sql: ClassVar = _VIEW
    with_sql: ClassVar = entries_cte(_ORDERS, _ENTRIES)
    write_sql: ClassVar = _ORDERS.upsert(_ORDERS.given("c"))

    @staticmethod
    def rows(change: OrderChange) -> Iterable[Row]:
        """Return the order's row."""
        order = change.order
        return ((order.tenant_id, order.order_id, order.version, change.partition, change.last_offset),)

    @staticmethod
    def entries(change: OrderChange) -> Iterable[Row]:
        """Return a row for each event."""
        changed = changed_fields((before, after) for _, _, before, after in change.events)
        for (event, provenance, _, after), (was, now) in zip(change.events, changed, strict=True):
            yield (
                after.tenant_id,
                after.order_id,
                after.version,
                event.data.type,
                provenance.actor,
                getattr(event.data, "authorised_by", None),
                event.occurred_at,
                provenance.recorded_at,
                provenance.command_id,
                provenance.correlation_id,
                # As text: unnest would take an array of arrays apart.
                _array(event.undoes),
                _array(event.redoes),
                to_json(was).decode(),
                to_json(now).decode(),
                getattr(event.data, "line_id", None),
                getattr(event.data, "product_id", None),
            )


def _array(versions: Sequence[int]) -> str:
    return f"{{{','.join(map(str, versions))}}}"
