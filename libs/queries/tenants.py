"""Whose orders a verb looks at: one tenant's, or everybody's."""

from __future__ import annotations

import asyncpg

# From tenant to tenant along the index: there are few, with many events each.
_TENANTS = """
WITH RECURSIVE tenants AS (
    (SELECT tenant_id FROM order_events ORDER BY tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT e.tenant_id FROM order_events AS e WHERE e.tenant_id > t.tenant_id ORDER BY 1 LIMIT 1)
    FROM tenants AS t WHERE t.tenant_id IS NOT NULL
)
SELECT tenant_id FROM tenants WHERE tenant_id IS NOT NULL
"""


async def find_tenants(connection: asyncpg.Connection, tenant: str | None) -> list[str]:
    """Return the tenant that is named, or all that have orders."""
    if tenant is not None:
        return [tenant]
    return [row["tenant_id"] for row in await connection.fetch(_TENANTS)]
