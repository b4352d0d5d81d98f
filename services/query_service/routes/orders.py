"""Orders as the read model has them: lists, one of them, and those that an id at hand belongs to."""

import asyncio
import time
from dataclasses import asdict
from typing import Annotated, Any, Literal, NamedTuple

import asyncpg
import structlog
from fastapi import Depends, Query, Response
from pydantic import BaseModel, Field

import queries
from eventstore import StreamKey
from orders import Order
from queries import MOST_ORDERS, NoSuchVersion, OrderFilter, OrderSort, OrderStatus, OrderSummary
from queries.answers import Hits, OrdersPage, OrderState, beside_summary
from query_service.database import RETRY_AFTER
from query_service.freshness import FROM_READ_MODELS
from query_service.parameters import (
    Currency,
    Cursor,
    Day,
    Identifier,
    Moment,
    OrderId,
    Searched,
    Since,
    Total,
    Version,
    Wait,
)
from query_service.problems import Problem, ProblemDetails
from query_service.query_models import described, query_into
from query_service.routes.authenticated_route import v1_router
from query_service.routes.tags import Tag
from query_service.service import Service, TheCaller, TheService
from readmodels.parked import is_parked

log = structlog.get_logger(__name__)

READ_MODEL = "order_summary"
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.2

router = v1_router(Tag.ORDERS)


class OrdersQuery(BaseModel):
    """Which orders, in what order. Spans of time leave `_to` out; the others include both."""

    status: OrderStatus | None = None
    cashier_id: Identifier | None = None
    currency: Currency | None = None
    created_from: Moment | None = None
    created_to: Moment | None = None
    updated_from: Moment | None = None
    updated_to: Moment | None = None
    recorded_from: Moment | None = None
    recorded_to: Moment | None = None
    business_day_from: Day | None = None
    business_day_to: Day | None = None
    total_min: Total | None = None
    total_max: Total | None = None
    product_id: Annotated[
        Identifier | None, Field(description="Ever had a line of this product.", examples=["p-apple"])
    ] = None
    line_id: Annotated[Identifier | None, Field(description="Ever had this line.", examples=["1"])] = None
    changed_since: Since | None = None
    sort: OrderSort = OrderSort.created_at
    direction: Literal["asc", "desc"] = "desc"
    limit: int = Field(50, ge=1, le=MOST_ORDERS)
    cursor: Cursor = None


@router.get(
    "/orders", response_model=OrdersPage, responses=FROM_READ_MODELS, openapi_extra=described(OrdersQuery)
)
async def list_orders(
    service: TheService,
    caller: TheCaller,
    response: Response,
    wanted: Annotated[OrdersQuery, Depends(query_into(OrdersQuery))],
) -> dict[str, Any]:
    """List orders: filtered, sorted, page by page.

    A page begins behind the last order of the one before, by what is sorted by. Sorted by `created_at` or
    `business_day`, which stay, each order comes once. The others change: an order that changes between two
    pages may come twice or not at all, so take these for looking, and not for copying all orders.

    Who copies orders keeps `watermark`, and asks with it as `changed_since` the next time: for whatever
    changed, however late it was uploaded. Changes that are made during such a list are of the next one.
    """
    tenant = caller.tenant
    which = OrderFilter(*(getattr(wanted, name) for name in OrderFilter._fields))
    page = await service.database.ask(
        tenant,
        lambda conn: queries.list_orders(
            conn,
            tenant,
            which,
            sort=wanted.sort,
            descending=wanted.direction == "desc",
            limit=wanted.limit,
            cursor=wanted.cursor,
        ),
    )
    response.headers.update(service.freshness.headers(READ_MODEL))
    return {"orders": page.items, "next_cursor": page.next_cursor, "watermark": str(page.watermark)}


class _Seen(NamedTuple):
    """What is known of an order at one moment; without a row the read model has nothing of it."""

    row: OrderSummary | None
    state: Order | None
    parked: bool


@router.get(
    "/orders/{order_id}",
    response_model=OrderState,
    responses={**FROM_READ_MODELS, 404: {"model": ProblemDetails}, 409: {"model": ProblemDetails}},
)
async def show_order(
    service: TheService,
    caller: TheCaller,
    *,
    response: Response,
    order_id: OrderId,
    min_version: Annotated[
        Version, Query(description="Wait until the order is at this version at least.")
    ] = 1,
    timeout: Wait = 5.0,  # noqa: ASYNC109 - a parameter of the request
) -> dict[str, Any]:
    """Show an order as the read model has it, with its lines of the same version.

    Who has just changed it passes the version that the command's outcome told, and reads their own write.
    """
    key = StreamKey(caller.tenant, order_id)
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE
    while True:
        seen = await _look(service, key, min_version)
        if seen.row is not None and seen.state is not None:
            response.headers.update(service.freshness.headers(READ_MODEL))
            return {**beside_summary(seen.state), **asdict(seen.row)}
        if seen.parked:
            raise Problem.of(
                "order-parked", f"The read model could not bring the order to version {min_version}."
            )
        if time.monotonic() + pause > deadline or service.stopping.is_set():
            at = "does not have the order yet" if seen.row is None else f"is at version {seen.row.version}"
            raise Problem.of(
                "not-there-yet",
                f"The read model {at}, and version {min_version} was asked for.",
                headers=RETRY_AFTER,
            )
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _look(service: Service, key: StreamKey, min_version: int) -> _Seen:
    """Return the order with its state, if it is at the version. Raises NoSuchOrder."""

    async def question(conn: asyncpg.Connection) -> _Seen:
        row = await queries.find_order(conn, *key)
        if row is not None and row.version >= min_version:
            try:
                state = (await queries.order_at(conn, *key, row.version)).state
            except NoSuchVersion:
                log.error("order.not_in_the_log", order_id=str(row.order_id), version=row.version)  # noqa: TRY400 - no fault of ours
                raise Problem.of(
                    "internal-error",
                    f"The read model has the order at version {row.version}, which the event store does not "
                    "have: it was restored from a backup, or rows were changed. `till verify` tells more.",
                ) from None
            return _Seen(row, state, parked=False)
        # Asked of the log, so that nobody waits for an order that there is not.
        if row is None:
            await queries.order_history(conn, *key, limit=1)
        return _Seen(row, None, await is_parked(conn, READ_MODEL, key))

    return await service.database.ask(key.tenant_id, question)


@router.get("/search", response_model=Hits, responses=FROM_READ_MODELS)
async def search(
    service: TheService,
    caller: TheCaller,
    response: Response,
    q: Annotated[Searched, Query(description="An order's, command's, product's or line's id, whole.")],
    limit: Annotated[int, Query(ge=1, le=MOST_ORDERS, description="Orders of each kind.")] = 20,
) -> dict[str, Any]:
    """Find the order or command of an id, and the orders that ever had a product or line of it.

    An id is compared whole; blanks around it are passed over. Of orders the newest come first.
    """
    hits = await service.database.ask(
        caller.tenant, lambda conn: queries.search(conn, caller.tenant, q, limit=limit)
    )
    response.headers.update(service.freshness.headers("audit_log"))
    return {"hits": hits}
