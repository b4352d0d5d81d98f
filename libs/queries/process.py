"""How orders really flow: which event follows which, how often, and after how long."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, ClassVar

import asyncpg
from pydantic import ConfigDict, Field

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
_SECONDS = ConfigDict(ser_json_timedelta="float")


@dataclass(frozen=True)
class Edge:
    """One type of event followed by another; waits in seconds, by the terminals' clocks."""

    __pydantic_config__: ClassVar = _SECONDS

    from_type: Annotated[str, Field(examples=["OrderCreated"])]
    to_type: Annotated[str, Field(examples=["ItemAdded"])]
    count: int
    # Of all waits, interpolated between the two nearest; one of a clock that was set back is zero.
    median: Annotated[timedelta, Field(description="Seconds.", examples=[4.5])]
    p95: Annotated[timedelta, Field(description="Seconds: the 95th percentile.", examples=[31.0])]


@dataclass(frozen=True)
class ProcessMap:
    """How orders flow: the edges, most frequent first; how many orders begin and so far end with what."""

    __pydantic_config__: ClassVar = _SECONDS

    edges: tuple[Edge, ...]
    starts: Annotated[dict[str, int], Field(examples=[{"OrderCreated": 120}])]
    ends: Annotated[
        dict[str, int], Field(examples=[{"OrderConfirmed": 102, "OrderVoided": 7, "ItemAdded": 11}])
    ]


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
