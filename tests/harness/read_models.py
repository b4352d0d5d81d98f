"""Read models against the log: the stored events folded anew, past everything a projector keeps or skips."""

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from integration.projector.ledgers import TOLD, Step, told
from integration.projector.reading import FOLDS, entry, folded, rows, summaries
from orders import ORDER, Order, decode_event

_EVENTS = """
SELECT tenant_id, aggregate_id, version, event_type, schema_version, payload, metadata, occurred_at,
    recorded_at
FROM order_events ORDER BY tenant_id, aggregate_id, version
"""


async def fold_of_the_log(
    conn: asyncpg.Connection,
) -> tuple[list[Order], list[tuple[Any, ...]], list[Step]]:
    """Fold every stored event with the domain's `evolve`, without event store, snapshots, topic or projector.

    Gives the orders, the audit trail of all events, and the steps. Fails on a stream whose versions are not
    1 to n.
    """
    orders: dict[tuple[Any, Any], Order] = {}
    trail: list[tuple[Any, ...]] = []
    steps: list[Step] = []
    for row in await conn.fetch(_EVENTS):
        key = (row["tenant_id"], row["aggregate_id"])
        order = orders.get(key) or ORDER.initial_state(*key)
        assert row["version"] == order.version + 1, f"{key} goes from {order.version} to {row['version']}"
        payload = json.loads(row["payload"], parse_float=Decimal)
        for version in range(row["schema_version"], ORDER.schema_versions[row["event_type"]]):
            lift = ORDER.upcasters[row["event_type"], version]
            payload = lift(payload, row["version"], row["occurred_at"])
        metadata = json.loads(row["metadata"])
        orders[key] = ORDER.evolve_stored(order, row["event_type"], payload, metadata, row["occurred_at"])
        undone = {name: tuple(metadata.get(name, ())) for name in ("undoes", "redoes")}
        event = decode_event(row["event_type"], payload, occurred_at=row["occurred_at"], **undone)
        origin = (
            metadata["actor"],
            UUID(metadata["causation_id"]),
            metadata["correlation_id"],
            row["recorded_at"],
        )
        trail.append(entry(event, order, orders[key], origin))
        steps.append(Step(event, row["recorded_at"], order, orders[key]))
    return list(orders.values()), trail, steps


async def assert_equal_the_fold(conn: asyncpg.Connection) -> None:
    """Compare every row of every read model with the fold of all orders; refused commands are no events."""
    orders, trail, steps = await fold_of_the_log(conn)
    due = {name: {_place(row): row for row in folded(name, orders)} for name in FOLDS}
    newest = {(step.after.tenant_id, step.after.order_id): step.recorded_at for step in steps}
    summed_up = summaries(orders, lambda order: newest[order.tenant_id, order.order_id])
    due["order_summary"] = {_place(row): row for row in summed_up}
    due["audit_log"] = {_place(row): row for row in trail}
    for name in TOLD:
        due[name] = {_place(row): row for row in told(name, steps)}
    for name, expected in due.items():
        there = {_place(row): row for row in await rows(conn, name) if row[3] != "refused"}
        assert there.keys() == expected.keys(), f"{name}: {list(there.keys() ^ expected.keys())[:3]}"
        wrong = [(row, expected[place]) for place, row in there.items() if row != expected[place]]
        assert not wrong, f"{name}: {len(wrong)} rows are not what the log folds to, such as {wrong[0]}"


def _place(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Give what tells a row from every other one: its first columns, whatever the read model."""
    return row[:5]
