"""What happened to an order, what it was like before, and what is different now."""

from typing import Annotated, Any

import asyncpg
from fastapi import Query

import queries
from orders import Order, difference
from queries import Clock
from queries.answers import Difference, History, OrderState, difference_of, event_of, state_of
from query_service.parameters import HIGHEST_VERSION, Moment, OrderId, Point, Version
from query_service.problems import Problem, ProblemDetails
from query_service.routes.authenticated_route import v1_router
from query_service.routes.tags import Tag
from query_service.service import TheCaller, TheService

MOST_EVENTS = 1000

router = v1_router(Tag.HISTORY)


_MISSING: dict[int | str, dict[str, Any]] = {404: {"model": ProblemDetails}}

ByClock = Annotated[
    Clock,
    Query(description="Of times: when events were recorded, or when the terminals say they occurred."),
]


@router.get("/orders/{order_id}/history", response_model=History, responses=_MISSING)
async def order_history(
    service: TheService,
    caller: TheCaller,
    order_id: OrderId,
    after: Annotated[int, Query(ge=0, le=HIGHEST_VERSION, description="After this version.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_EVENTS)] = 200,
) -> dict[str, Any]:
    """List what happened to an order, oldest first: who did what, when, and who authorised it.

    It comes from the event store, and is never behind. `next_after` of one page is `after` of the next; it is
    null on the last one.
    """
    events = await service.database.ask(
        caller.tenant,
        lambda conn: queries.order_history(conn, caller.tenant, order_id, after=after, limit=limit + 1),
    )
    return {
        "order_id": order_id,
        "events": [event_of(event) for event in events[:limit]],
        "next_after": events[limit - 1].version if len(events) > limit else None,
    }


@router.get("/orders/{order_id}/at", response_model=OrderState, responses=_MISSING)
async def order_at(
    service: TheService,
    caller: TheCaller,
    *,
    order_id: OrderId,
    version: Annotated[
        Version | None, Query(description="After this many events: this or `time`, not both.")
    ] = None,
    time: Annotated[
        Moment | None, Query(description="At a time, by the clock: this or `version`, not both.")
    ] = None,
    clock: ByClock = Clock.recorded,
) -> dict[str, Any]:
    """Show an order as it was: at a version, or at a time.

    Give one of the two. As of a time is the longest beginning of the order whose every event had happened by
    then, by the clock. It comes from the event store, and is never behind.
    """
    point = version if time is None else time
    if point is None or (version is not None and time is not None):
        raise Problem.of_fields([("query.version", "must be given, or time, and not both")])
    loaded = await service.database.ask(
        caller.tenant, lambda conn: queries.order_at(conn, caller.tenant, order_id, point, clock)
    )
    return state_of(loaded)


@router.get("/orders/{order_id}/diff", response_model=Difference, responses=_MISSING)
async def order_diff(
    service: TheService,
    caller: TheCaller,
    *,
    order_id: OrderId,
    begin: Annotated[Point, Query(alias="from", description="A version, or a time by the clock.")],
    end: Annotated[Point, Query(alias="to", description="A version, or a time by the clock.")],
    clock: ByClock = Clock.recorded,
) -> dict[str, Any]:
    """Tell what differs between an order as it was at one point and at another: lines, discounts, totals.

    Each point is a version, or a time by the clock. It comes from the event store, and is never behind.
    """

    async def question(conn: asyncpg.Connection) -> tuple[Order, Order]:
        return (
            (await queries.order_at(conn, caller.tenant, order_id, begin, clock)).state,
            (await queries.order_at(conn, caller.tenant, order_id, end, clock)).state,
        )

    before, after = await service.database.ask(caller.tenant, question)
    return {"order_id": order_id, **difference_of(difference(before, after))}
