"""Which order is meant by an order id typed on the command line."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import asyncpg
import typer

from eventstore import StreamKey
from till.errors import TillError

OrderArgument = Annotated[str, typer.Argument(metavar="ORDER", help="The order's id, a UUID.")]
TenantOption = Annotated[
    str | None, typer.Option("--tenant", help="Whose order it is, where several tenants use the same id.")
]

# Every key starts with the tenant: PostgreSQL 18 skips from tenant to tenant along the index.
_TENANTS = "SELECT tenant_id FROM order_events WHERE aggregate_id = $1 AND version = 1 ORDER BY tenant_id"
_SOME = "SELECT order_id FROM read_models.order_summary LIMIT 3"


async def find_order(connection: asyncpg.Connection, order: str, tenant: str | None) -> StreamKey:
    """Return the tenant and id of an order that exists.

    Raises TillError, with ids that could have been meant, when there is none or when several tenants have it.
    """
    try:
        order_id = UUID(order)
    except ValueError:
        raise TillError(f"{order!r} is no order id: it must be a UUID.", await _advice(connection)) from None
    tenants = [row["tenant_id"] for row in await connection.fetch(_TENANTS, order_id)]
    if tenant is not None:
        if tenant not in tenants:
            raise TillError(f"Tenant {tenant} has no order {order_id}.", await _advice(connection))
        return StreamKey(tenant, order_id)
    if not tenants:
        raise TillError(f"There is no order {order_id}.", await _advice(connection))
    if len(tenants) > 1:
        raise TillError(
            f"{len(tenants)} tenants have an order {order_id}: {', '.join(tenants)}.",
            f"Say which one: --tenant {tenants[0]}",
        )
    return StreamKey(tenants[0], order_id)


async def _advice(connection: asyncpg.Connection) -> str:
    try:
        some = [str(row["order_id"]) for row in await connection.fetch(_SOME)]
    except asyncpg.UndefinedTableError:
        some = []
    if not some:
        return "The read models have no order yet: send some with `till load --orders 100`."
    return f"Try one of these: {', '.join(some)}"
