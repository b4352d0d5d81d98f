"""Finding events by their order and version, without reading them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from eventstore.connection import Connection
from eventstore.records import StreamKey

# LIMIT 1 keeps the planner from turning the key lookups into a scan of the whole table.
_FIND = """
SELECT w.tenant_id, w.aggregate_id, w.version, e.event_id
FROM unnest($1::text[], $2::uuid[], $3::bigint[]) AS w (tenant_id, aggregate_id, version)
CROSS JOIN LATERAL (
    SELECT event_id
    FROM order_events
    WHERE tenant_id = w.tenant_id AND aggregate_id = w.aggregate_id AND version = w.version
    LIMIT 1
) AS e
"""

_NEWEST = """
SELECT w.tenant_id, w.aggregate_id, e.version
FROM unnest($1::text[], $2::uuid[]) AS w (tenant_id, aggregate_id)
CROSS JOIN LATERAL (
    SELECT version
    FROM order_events
    WHERE tenant_id = w.tenant_id AND aggregate_id = w.aggregate_id
    ORDER BY version DESC
    LIMIT 1
) AS e
"""


async def find_event_ids(
    conn: Connection, places: Sequence[tuple[StreamKey, int]]
) -> dict[tuple[StreamKey, int], UUID]:
    """Give the id of the event at each stream and version; a place without an event is absent."""
    rows = await conn.fetch(
        _FIND,
        [key.tenant_id for key, _ in places],
        [key.aggregate_id for key, _ in places],
        [version for _, version in places],
    )
    return {
        (StreamKey(tenant_id, aggregate_id), version): found
        for tenant_id, aggregate_id, version, found in rows
    }


async def newest_versions(conn: Connection, keys: Sequence[StreamKey]) -> dict[StreamKey, int]:
    """Give each stream's newest version; a stream without events is absent."""
    rows = await conn.fetch(_NEWEST, [key.tenant_id for key in keys], [key.aggregate_id for key in keys])
    return {StreamKey(tenant_id, aggregate_id): version for tenant_id, aggregate_id, version in rows}
