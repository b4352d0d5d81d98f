"""Rows made wrong on purpose, and what the projector wrote down of its decisions."""

from typing import Any

import asyncpg

from readmodels import READ_MODELS

# Of a read model with rows of single events: their table, and a fault in it.
ENTRIES = {
    "audit_log": ("audit_log_1", "actor = 'nobody'"),
    "process_steps": ("process_steps_1", "to_type = 'nothing'"),
    "product_movements": ("product_movements_1", "quantity = e.quantity + 1"),
    "sales": ("sales_1_changes", "net = e.net + 1"),
}
# Of one that goes by orders as they are: an amount in an order's row.
AMOUNTS = {"order_summary": "total", "sales": "gross"}


async def decided(conn: asyncpg.Connection) -> list[tuple[Any, ...]]:
    found = await conn.fetch(
        "SELECT partition, decision, committed_offset, checkpoint_offset, goes_on_from"
        " FROM projections.assignments ORDER BY id"
    )
    return [tuple(row) for row in found]


async def spoil(conn: asyncpg.Connection, name: str, partition: int, from_offset: int = 0) -> None:
    """Make some of what a read model holds wrong, as a fault in its code could."""
    if name in ENTRIES:
        table, wrong = ENTRIES[name]
        found = await conn.fetch(
            f"UPDATE projections.{table} AS e SET {wrong}"  # noqa: S608 - ours
            f" FROM projections.{name}_1_orders AS o WHERE e.tenant_id = o.tenant_id"
            " AND e.order_id = o.order_id AND partition = $1 AND last_offset >= $2"
            " RETURNING e.tenant_id, e.order_id, e.version",
            partition,
            from_offset,
        )
        await conn.executemany(
            f"DELETE FROM projections.{table} WHERE tenant_id = $1 AND order_id = $2 AND version = $3",  # noqa: S608
            [tuple(row) for row in found if row["version"] % 3 == 0],
        )
    if name not in AMOUNTS:
        return
    amount = AMOUNTS[name]
    table = READ_MODELS[name].orders_table.format(generation=1)
    await conn.execute(
        f"UPDATE {table} SET {amount} = {amount} + 1 WHERE partition = $1 AND last_offset >= $2",  # noqa: S608
        partition,
        from_offset,
    )
    if name == "sales":
        await conn.execute(
            "UPDATE projections.sales_1_totals SET gross = gross + 7 WHERE partition = $1", partition
        )
