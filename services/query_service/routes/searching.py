"""Search by whatever id somebody has at hand."""

from __future__ import annotations

from typing import Annotated, Any

import asyncpg
from fastapi import Query, Response

import queries
from queries import MOST_ORDERS
from queries.answers.found import Hits
from query_service.freshness import FROM_READ_MODELS
from query_service.parameters import Searched
from query_service.routes.authenticated_route import v1_router
from query_service.routes.tags import Tag
from query_service.service import TheCaller, TheService

router = v1_router(Tag.ORDERS)


@router.get("/search", response_model=Hits, responses=FROM_READ_MODELS)
async def search(
    service: TheService,
    caller: TheCaller,
    response: Response,
    q: Annotated[Searched, Query(description="An order's, command's, product's or line's id, whole.")],
    limit: Annotated[int, Query(ge=1, le=MOST_ORDERS, description="Orders of each kind.")] = 20,
) -> dict[str, Any]:
    """Find the order or command of an id, and the orders that ever had a product or line of it."""

    async def question(conn: asyncpg.Connection) -> list[queries.Hit]:
        return await queries.search(conn, caller.tenant, q, limit=limit)

    hits = await service.database.ask(caller.tenant, question)
    response.headers.update(service.freshness.headers("audit_log"))
    return {"hits": hits}
