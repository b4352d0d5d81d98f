"""What happened to an order, and what it was like before."""

from typing import Annotated, Any

import asyncpg
from fastapi import Query

from eventstore import StoredEvent, StreamKey
from query_service.answers.history import History, event_of
from query_service.parameters import HIGHEST_VERSION, OrderId
from query_service.problems import Problem
from query_service.routes.guarded import v1_router
from query_service.service import TheCaller, TheService

MOST_EVENTS = 1000

router = v1_router()


def no_such_order() -> Problem:
    """Return the one answer about an order that the tenant lacks, whether or not another one has it."""
    return Problem.of("not-found", "There is no such order.")


@router.get("/orders/{order_id}/history", response_model=History)
async def order_history(
    service: TheService,
    caller: TheCaller,
    order_id: OrderId,
    after: Annotated[int, Query(ge=0, le=HIGHEST_VERSION, description="After this version.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_EVENTS)] = 200,
) -> dict[str, Any]:
    """List what happened to an order, oldest first: who did what, when, and who authorised it."""
    key = StreamKey(caller.tenant, order_id)

    async def question(conn: asyncpg.Connection) -> list[StoredEvent]:
        events = await service.store.history(conn, key, after, limit + 1)
        if not events and (after == 0 or not await service.store.history(conn, key, 0, 1)):
            raise no_such_order()
        return events

    events = await service.database.ask(caller.tenant, question)
    return {
        "order_id": order_id,
        "events": [event_of(event) for event in events[:limit]],
        "next_after": events[limit - 1].version if len(events) > limit else None,
    }
