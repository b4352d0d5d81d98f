"""`till show`: one order as the read model has it, with its lines from the event store."""

from __future__ import annotations

from typing import Any

import asyncpg

from eventstore import EventStore, StreamKey
from orders import ORDER
from till.connecting import query_connection, run
from till.orders_found import OrderArgument, TenantOption, find_order
from till.output import Output, OutputOption, notices, print_order
from till.settings import till_settings
from till.telling import line_rows, order_row

_SUMMARY = """
SELECT order_id, tenant_id, status, cashier_id, currency, business_day, line_count,
       subtotal, discount, total, version, created_at, updated_at
  FROM read_models.order_summary WHERE tenant_id = $1 AND order_id = $2
"""


def show(order: OrderArgument, tenant: TenantOption = None, output: OutputOption = Output.table) -> None:
    """Show an order as it stands, with its lines."""
    row = run(_show(order, tenant))
    print_order(row, output)


async def _show(order: str, tenant: str | None) -> dict[str, Any]:
    store = EventStore(ORDER)
    async with query_connection(till_settings()) as connection:
        key = await find_order(connection, order, tenant)
        summary = await _summary(connection, key)
        if summary is None:
            notices.print(
                "The read model order_summary does not have this order yet (`till lag` says how far it is): "
                "this is what the event store says.",
                highlight=False,
            )
            state = (await store.load(connection, key)).state
            return {**order_row(state), "lines": line_rows(state)}
        # The lines as of the read model's own version, so that they agree with its totals.
        state = (await store.load_at_version(connection, key, summary["version"])).state
        return {**summary, "lines": line_rows(state)}


async def _summary(connection: asyncpg.Connection, key: StreamKey) -> dict[str, Any] | None:
    try:
        row = await connection.fetchrow(_SUMMARY, key.tenant_id, key.aggregate_id)
    except asyncpg.UndefinedTableError:
        return None
    return None if row is None else dict(row)
