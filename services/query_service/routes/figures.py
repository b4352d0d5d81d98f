"""What was sold, of what how much, and how orders flow."""

from typing import Annotated, Any

from fastapi import Query, Response

import queries
from queries import MOST_PRODUCTS, Clock, ProcessMap, SalesGroup
from queries.answers import Products, Sales
from query_service.freshness import FROM_READ_MODELS
from query_service.parameters import Cursor, Day, Identifier, Moment
from query_service.problems import Problem
from query_service.routes.authenticated_route import v1_router
from query_service.routes.tags import Tag
from query_service.service import TheCaller, TheService

MOST_ROWS = 10_000

DayFrom = Annotated[Day | None, Query(description="From this business day on.")]
DayTo = Annotated[Day | None, Query(description="Up to this business day, it included.")]
AsOf = Annotated[
    Moment | None,
    Query(
        description="As it stood at this time: what had happened by then, by the clock, as far as the read "
        "model has applied it. Asked again later the same time may give more: events that the headers tell "
        "of, parked orders (see read-models), and by the clock `occurred` whatever comes in late."
    ),
]
ByClock = Annotated[
    Clock, Query(description="For as_of: when events were recorded, or when terminals say they occurred.")
]

router = v1_router(Tag.FIGURES)


@router.get("/sales", response_model=Sales, responses=FROM_READ_MODELS)
async def sales(
    service: TheService,
    caller: TheCaller,
    *,
    response: Response,
    group_by: Annotated[
        list[SalesGroup] | None,
        Query(
            description="Tell sales apart by this; may be repeated. By business day unless given.",
            max_length=len(SalesGroup),
        ),
    ] = None,
    day_from: DayFrom = None,
    day_to: DayTo = None,
    as_of: AsOf = None,
    clock: ByClock = Clock.recorded,
) -> dict[str, Any]:
    """Sum up what was sold, now or as of a time, by day or by what else is named.

    Sums are always apart by currency. An order counts from its confirmation until it is voided. More than
    10,000 rows are not given at once: ask for fewer days.
    """
    groups = [SalesGroup.business_day] if group_by is None else group_by
    rows = await service.database.ask(
        caller.tenant,
        lambda conn: queries.sales(
            conn, caller.tenant, group_by=groups, day_from=day_from, day_to=day_to, as_of=as_of, clock=clock
        ),
    )
    if len(rows) > MOST_ROWS:
        raise Problem.of_fields([("query.day_to", f"must not ask for more than {MOST_ROWS} rows at once")])
    response.headers.update(service.freshness.headers("sales"))
    return {"sales": rows}


@router.get("/products", response_model=Products, responses=FROM_READ_MODELS)
async def products(
    service: TheService,
    caller: TheCaller,
    response: Response,
    *,
    product_id: Annotated[Identifier | None, Query(description="Only this product.")] = None,
    day_from: DayFrom = None,
    day_to: DayTo = None,
    as_of: AsOf = None,
    clock: ByClock = Clock.recorded,
    limit: Annotated[int, Query(ge=1, le=MOST_PRODUCTS)] = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Tell how much of each product was sold; an order counts from its confirmation until it is voided.

    In order of product and currency: `next_cursor` of one page is `cursor` of the next, of the same question.
    """
    page = await service.database.ask(
        caller.tenant,
        lambda conn: queries.product_quantities(
            conn,
            caller.tenant,
            product_id=product_id,
            day_from=day_from,
            day_to=day_to,
            as_of=as_of,
            clock=clock,
            limit=limit,
            cursor=cursor,
        ),
    )
    response.headers.update(service.freshness.headers("product_movements"))
    return {"products": page.items, "next_cursor": page.next_cursor}


@router.get("/process", response_model=ProcessMap, responses=FROM_READ_MODELS)
async def process_map(
    service: TheService,
    caller: TheCaller,
    response: Response,
    day_from: DayFrom = None,
    day_to: DayTo = None,
) -> ProcessMap:
    """Map how orders flow: which event follows which, how often and after how long.

    Waits are told by median and 95th percentile, in seconds by the terminals' clocks; `starts` and `ends`
    tell with what orders begin and so far end.
    """
    found = await service.database.ask(
        caller.tenant,
        lambda conn: queries.process_map(conn, caller.tenant, day_from=day_from, day_to=day_to),
    )
    response.headers.update(service.freshness.headers("process_steps"))
    return found
