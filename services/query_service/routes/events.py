"""Events as they happen."""

from contextlib import ExitStack
from typing import Annotated
from uuid import UUID

from fastapi import Header, Query

from messaging import BadVector
from messaging.topic_position import LONGEST_VECTOR
from orders import EVENT_TYPES
from queries import BEGINNING, EventFilter, Start, parse_start
from query_service.access.tokens import LEEWAY
from query_service.live import EventStream
from query_service.parameters import Identifier
from query_service.problems import Problem
from query_service.routes.authenticated_route import v1_router
from query_service.routes.tags import Tag
from query_service.service import TheCaller, TheService

router = v1_router(Tag.EVENTS)

_EXAMPLE = (
    "retry: 2000\n\n"
    "id: aQ7kXb0pUT9mZ3jH1vYw2A.12.0.7\n"
    'data: {"specversion":"1.0","id":"0b0d6f0e-0000-5000-8000-000000000002","source":"tillstream",'
    '"type":"orders.ItemAdded","subject":"6f2a1c52-0000-4000-8000-000000000001",'
    '"time":"2026-03-01T12:00:00Z","datacontenttype":"application/json","tenantid":"store-1",'
    '"actor":"anna","version":2,"schemaversion":2,"recordedtime":"2026-03-01T12:00:00.015Z",'
    '"correlationid":"0b0d6f0e-0000-4000-8000-000000000001",'
    '"causationid":"0b0d6f0e-0000-4000-8000-000000000001",'
    '"data":{"line_id":"1","product_id":"p-1","name":"Tea","quantity":"1","unit_price":"2.50"}}\n\n'
)

Types = Annotated[
    list[str],
    Query(
        max_length=len(EVENT_TYPES),
        description="Only events of this type; may be given several times.",
        json_schema_extra={"items": {"type": "string", "enum": list(EVENT_TYPES)}},
    ),
]
Place = Annotated[
    str | None,
    Query(
        max_length=LONGEST_VECTOR,
        description=f"Where to begin: the id of the last event seen, or `{BEGINNING}`. Without it: now.",
    ),
]
LastEventId = Annotated[
    str | None,
    Header(
        max_length=LONGEST_VECTOR,
        description="The same, as readers send it that have lost the connection: it wins over `after`.",
    ),
]


@router.get(
    "/events",
    status_code=200,
    response_class=EventStream,
    responses={
        200: {
            "description": "Server-sent events: each `data` is a CloudEvent in JSON, each `id` the place "
            "behind it. Ids also come without data, as signs of life. They are places in the topic of all "
            "tenants' events: they show how much the whole installation records, and nothing of whose.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
    },
)
async def live_events(
    *,
    service: TheService,
    caller: TheCaller,
    type: Types = [],  # noqa: A002, B006 - the parameter's name; FastAPI copies it
    order_id: Annotated[UUID | None, Query(description="Only of this order.")] = None,
    actor: Annotated[Identifier | None, Query(description="Only what this actor did.")] = None,
    after: Place = None,
    last_event_id: LastEventId = None,
) -> EventStream:
    """Follow the tenant's events as they happen, from now or from a place on; in order within each order.

    A reader that has lost its connection sends the last id as `Last-Event-ID`, as browsers do by themselves,
    and misses nothing. An event may come again: pass over a version that is not above its order's last.
    """
    unknown = [name for name in type if name not in EVENT_TYPES]
    if unknown:
        raise Problem.of_fields([("query.type", "must be one of " + ", ".join(EVENT_TYPES))])
    wanted = EventFilter(caller.tenant, frozenset(type), order_id, actor)
    start = _start("query.after", after)
    if last_event_id:
        start = _start("header.last-event-id", last_event_id)
    with ExitStack() as held:
        held.enter_context(service.streams.hold(caller.tenant))
        events = await service.following.begin(wanted, start, held)
        return EventStream(
            events,
            held=held.pop_all(),
            stopping=service.stopping,
            # Until then the same token would be let in again.
            expires_at=caller.expires_at and caller.expires_at + LEEWAY,
        )


def _start(field: str, text: str | None) -> Start:
    try:
        return parse_start(text)
    except BadVector as error:
        raise Problem.of_fields([(field, str(error))]) from None
