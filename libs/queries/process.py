"""How orders really flow: which event follows which, how often, and after how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import asyncpg

from queries.conditions import Conditions

_EDGES = """
SELECT from_type, to_type, count(*), percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY wait)
FROM read_models.process_steps WHERE {conditions}
GROUP BY from_type, to_type ORDER BY 3 DESC, 1, 2
"""
_ENDS = """
SELECT last_type, count(*) FROM read_models.process_ends WHERE {conditions}
GROUP BY last_type ORDER BY 2 DESC, 1
"""


@dataclass(frozen=True, slots=True)
class Edge:
    """One type of event followed by another: how often, and after how long by the terminals' clocks.

    `median` and `p95` (the 95th percentile) are of all these waits, interpolated between the two nearest. A
    wait that would be negative, of a clock set back, is zero.
    """

    from_type: str
    to_type: str
    count: int
    median: timedelta
    p95: timedelta


@dataclass(frozen=True, slots=True)
class ProcessMap:
    """The edges, most frequent first, and how many orders begin and so far end with each type of event."""

    edges: tuple[Edge, ...]
    starts: dict[str, int]
    ends: dict[str, int]


async def process_map(
    conn: asyncpg.Connection,
    tenant_id: str,
    *,
    day_from: date | None = None,
    day_to: date | None = None,
) -> ProcessMap:
    """Return the process map of a tenant's orders of a span of business days, both included.

    Raises asyncpg's UndefinedTableError as long as the read model has no tables.
    """
    conditions = Conditions()
    conditions.add("tenant_id = {}", tenant_id)
    conditions.add_given("business_day >= {}", day_from)
    conditions.add_given("business_day <= {}", day_to)
    edges, starts = [], {}
    for from_type, to_type, count, waits in await conn.fetch(
        _EDGES.format(conditions=conditions), *conditions.values
    ):
        if from_type is None:
            starts[to_type] = count
        else:
            edges.append(Edge(from_type, to_type, count, *waits))
    ends = await conn.fetch(_ENDS.format(conditions=conditions), *conditions.values)
    return ProcessMap(tuple(edges), starts, {row["last_type"]: row["count"] for row in ends})
