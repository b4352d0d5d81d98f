"""Up to which time of record a read model has everything, as `read_models.freshness` says it."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import asyncpg

# Parked orders lack what is parked of them: everything is there only up to before that.
_COMPLETE = """
UPDATE projections.generations AS g
SET complete_until = greatest(g.complete_until, least($2, (
    SELECT min(e.recorded_at) - interval '1 microsecond'
    FROM projections.parked AS p JOIN public.order_events AS e
        ON e.tenant_id = p.tenant_id AND e.aggregate_id = p.order_id AND e.version >= p.version
    WHERE p.read_model = g.read_model AND p.generation = g.generation
)))
WHERE g.read_model = $1 AND g.state = 'live' AND NOT EXISTS (
    SELECT FROM unnest($5::integer[], $6::bigint[]) AS ends (partition, next_offset)
    LEFT JOIN projections.checkpoints AS c
        ON c.read_model = g.read_model AND c.generation = g.generation
        AND c.topic = $3 AND c.topic_id = $4 AND c.partition = ends.partition
    WHERE c.next_offset IS NULL OR c.next_offset < ends.next_offset OR c.refolding
)
RETURNING true
"""


async def note_complete(
    conn: asyncpg.Connection,
    read_model: str,
    until: datetime,
    topic: tuple[str, UUID],
    ends: Mapping[int, int],
) -> bool:
    """Note that the live generation has all that was recorded until then; False while it is not so yet.

    `topic` is its name and id, and `ends` tells by partition where it ended once all of that was on it.
    """
    name, topic_id = topic
    columns = (list(ends), list(ends.values()))
    return bool(await conn.fetchval(_COMPLETE, read_model, until, name, topic_id, *columns))
