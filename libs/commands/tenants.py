"""What is set for each tenant, as the database tells it to those who read the read models."""

from collections.abc import Mapping

import asyncpg

from runtime import TenantSettings

_FORGET = "DELETE FROM operations.tenants WHERE NOT tenant_id = ANY ($1)"
_TELL = """
INSERT INTO operations.tenants AS t (tenant_id, time_zone, day_ends_at, clock_ahead_limit, refuse_clock_ahead)
SELECT * FROM unnest($1::text[], $2::text[], $3::time[], $4::integer[], $5::boolean[]) AS s (tenant_id)
ORDER BY s.tenant_id
ON CONFLICT (tenant_id) DO UPDATE SET
    time_zone = excluded.time_zone, day_ends_at = excluded.day_ends_at,
    clock_ahead_limit = excluded.clock_ahead_limit, refuse_clock_ahead = excluded.refuse_clock_ahead,
    since = excluded.since
WHERE (t.time_zone, t.day_ends_at, t.clock_ahead_limit, t.refuse_clock_ahead)
    <> (excluded.time_zone, excluded.day_ends_at, excluded.clock_ahead_limit, excluded.refuse_clock_ahead)
"""


async def tell_tenants(conn: asyncpg.Connection, tenants: Mapping[str, TenantSettings]) -> None:
    """Have `read_models.tenants` say what is set, tenant → its settings, and nothing of others."""
    names = sorted(tenants)
    each = [tenants[name] for name in names]
    async with conn.transaction():
        await conn.execute(_FORGET, names)
        await conn.execute(
            _TELL,
            names,
            [one.time_zone for one in each],
            [one.day_ends_at for one in each],
            [one.clock_ahead_limit for one in each],
            [one.refuse_clock_ahead for one in each],
        )
