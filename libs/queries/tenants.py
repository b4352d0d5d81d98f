"""Whose orders are meant: one tenant's, everybody's, or those of whoever has an order of an id."""

from uuid import UUID

import asyncpg

from queries.errors import NoSuchOrder, NotMadeYet, SeveralTenants

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
# Every key starts with the tenant: PostgreSQL 18 skips from tenant to tenant along the index.
_OF_ORDER = "SELECT tenant_id FROM order_events WHERE aggregate_id = $1 AND version = 1 ORDER BY tenant_id"
_IN_TRAIL = "SELECT DISTINCT tenant_id FROM read_models.audit_log WHERE order_id = $1 ORDER BY tenant_id"
_SOME = "SELECT order_id FROM read_models.order_summary LIMIT 3"


async def find_tenants(conn: asyncpg.Connection, tenant: str | None) -> list[str]:
    """Return the tenant that is named, or all that have orders."""
    if tenant is not None:
        return [tenant]
    return [row["tenant_id"] for row in await conn.fetch(_TENANTS)]


async def tenant_of_order(conn: asyncpg.Connection, order_id: UUID, tenant: str | None = None) -> str:
    """Return whose order it is: the named tenant's, or that of the only one who has it.

    Raises NoSuchOrder and SeveralTenants.
    """
    return await _only_tenant(conn, _OF_ORDER, order_id, tenant)


async def tenant_in_trail(conn: asyncpg.Connection, order_id: UUID, tenant: str | None = None) -> str:
    """Return the same of an order in the audit trail, which may lag behind.

    Raises also NotMadeYet.
    """
    return await _only_tenant(conn, _IN_TRAIL, order_id, tenant)


async def some_orders(conn: asyncpg.Connection) -> list[UUID]:
    """Return up to three orders that there are, to try out; none as long as the read model has no tables."""
    try:
        return [row["order_id"] for row in await conn.fetch(_SOME)]
    except NotMadeYet:
        return []


async def _only_tenant(conn: asyncpg.Connection, statement: str, order_id: UUID, tenant: str | None) -> str:
    found = [row["tenant_id"] for row in await conn.fetch(statement, order_id)]
    if not found or (tenant is not None and tenant not in found):
        raise NoSuchOrder
    if tenant is None and len(found) > 1:
        raise SeveralTenants(order_id, found)
    return tenant or found[0]
