"""Read models against the log: the stored events folded anew, past everything a projector keeps or skips."""

import json
from decimal import Decimal
from typing import Any

import asyncpg

from integration.projector.reading import folded, rows
from orders import ORDER, Order

_EVENTS = """
SELECT tenant_id, aggregate_id, version, event_type, schema_version, payload, metadata, occurred_at
FROM order_events ORDER BY tenant_id, aggregate_id, version
"""
FOLDED = ("order_summary", "sales")
"""The read models whose rows can be told from folded orders alone."""


async def fold_of_the_log(conn: asyncpg.Connection) -> list[Order]:
    """Fold every stored event with the domain's `evolve`, without event store, snapshots, topic or projector.

    Fails on a stream whose versions are not 1 to n.
    """
    folded: dict[tuple[Any, Any], Order] = {}
    for row in await conn.fetch(_EVENTS):
        key = (row["tenant_id"], row["aggregate_id"])
        order = folded.get(key) or ORDER.initial_state(*key)
        assert row["version"] == order.version + 1, f"{key} goes from {order.version} to {row['version']}"
        payload = json.loads(row["payload"], parse_float=Decimal)
        for version in range(row["schema_version"], ORDER.schema_versions[row["event_type"]]):
            lift = ORDER.upcasters[row["event_type"], version]
            payload = lift(payload, row["version"], row["occurred_at"])
        metadata = json.loads(row["metadata"])
        folded[key] = ORDER.evolve_stored(order, row["event_type"], payload, metadata, row["occurred_at"])
    return list(folded.values())


async def assert_equal_the_fold(conn: asyncpg.Connection) -> None:
    """Compare every row of `order_summary` and `sales` with the fold of all orders."""
    orders = await fold_of_the_log(conn)
    for name in FOLDED:
        there, due = set(await rows(conn, name)), set(folded(name, orders))
        assert there == due, (
            f"{name}: {len(there - due)} of {len(there)} rows are not what the log folds to,"
            f" such as {next(iter(there - due), None)} for {next(iter(due - there), None)}"
        )
