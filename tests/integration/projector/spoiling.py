"""Rows made wrong on purpose, and what the projector wrote down of its decisions."""

from typing import Any

import asyncpg

from readmodels import READ_MODELS


async def decided(conn: asyncpg.Connection) -> list[tuple[Any, ...]]:
    found = await conn.fetch(
        "SELECT partition, decision, committed_offset, checkpoint_offset, goes_on_from"
        " FROM projections.assignments ORDER BY id"
    )
    return [tuple(row) for row in found]


async def spoil(conn: asyncpg.Connection, name: str, partition: int, from_offset: int = 0) -> None:
    """Make some of what a read model holds wrong, as a fault in its code could."""
    if name == "audit_log":
        await conn.execute(
            "UPDATE projections.audit_log_1 AS e SET actor = 'nobody'"
            " FROM projections.audit_log_1_orders AS o WHERE e.tenant_id = o.tenant_id"
            " AND e.order_id = o.order_id AND partition = $1 AND last_offset >= $2",
            partition,
            from_offset,
        )
        await conn.execute("DELETE FROM projections.audit_log_1 WHERE actor = 'nobody' AND version % 3 = 0")
        return
    amount = {"order_summary": "total", "sales": "gross"}[name]
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
