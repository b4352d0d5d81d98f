"""How orders really flow: which event follows which, how often, and after how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import asyncpg

from queries.conditions import Conditions

# An order's last step so far has no next one.
_MAP = """
WITH steps AS (
    SELECT * FROM read_models.process_steps WHERE {conditions}
)
SELECT from_type, to_type, count(*), percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY wait)
FROM steps GROUP BY from_type, to_type
UNION ALL
SELECT to_type, NULL, count(*), NULL
FROM steps AS s
WHERE NOT EXISTS (
    SELECT FROM read_models.process_steps AS n
    WHERE n.tenant_id = s.tenant_id AND n.order_id = s.order_id AND n.version = s.version + 1
)
GROUP BY to_type
ORDER BY 3 DESC, 1, 2
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
    rows = await conn.fetch(_MAP.format(conditions=conditions), *conditions.values)
    edges, starts, ends = [], {}, {}
    for from_type, to_type, count, waits in rows:
        if to_type is None:
            ends[from_type] = count
        elif from_type is None:
            starts[to_type] = count
        else:
            edges.append(Edge(from_type, to_type, count, *waits))
    return ProcessMap(tuple(edges), starts, ends)
