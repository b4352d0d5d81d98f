"""The audit trail: a page of it as JSON, all of it as CSV or as lines of JSON."""

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import fields
from operator import attrgetter
from typing import Annotated, Any

from fastapi import Depends, Header, Response
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, WithJsonSchema
from pydantic_core import PydanticCustomError

import queries
from queries import AUDIT_KINDS, AuditEntry, AuditFilter, Page
from queries.answers import AuditPage
from query_service.content_negotiation import MEDIA_TYPES, Form, form_wanted
from query_service.exports import HeldStream, csv_lines
from query_service.freshness import FROM_READ_MODELS
from query_service.parameters import Cursor, Identifier, Moment, OrderIdFilter
from query_service.problems import ProblemDetails
from query_service.query_models import described, query_into
from query_service.routes.authenticated_route import v1_router
from query_service.routes.tags import Tag
from query_service.service import Service, TheCaller, TheService

READ_MODEL = "audit_log"
MOST_AT_ONCE = 1000
# As in JSON: whose an entry is goes without saying.
_COLUMNS = [field.name for field in fields(AuditEntry) if field.name != "tenant_id"]
_cells = attrgetter(*_COLUMNS)
_entry = TypeAdapter(AuditEntry)

router = v1_router(Tag.HISTORY)


def _kind(value: str) -> str:
    if value not in AUDIT_KINDS:
        raise PydanticCustomError("kind", f"must be one of {', '.join(AUDIT_KINDS)}")
    return value


Kind = Annotated[str, AfterValidator(_kind), WithJsonSchema({"type": "string", "enum": list(AUDIT_KINDS)})]


class AuditQuery(BaseModel):
    """Which entries, in which form. Times are of record: `since` is included, `until` is not."""

    order_id: OrderIdFilter | None = None
    actor: Identifier | None = None
    authoriser: Identifier | None = None
    kind: Kind | None = None
    since: Moment | None = None
    until: Moment | None = None
    product_id: Annotated[Identifier | None, Field(examples=["p-apple"])] = None
    line_id: Annotated[Identifier | None, Field(examples=["1"])] = None
    clock_ahead_min: int | None = Field(
        None,
        ge=1,
        le=2**31 - 1,
        description="By how many seconds at least the terminal's clock was ahead of the time of record.",
    )
    limit: int = Field(100, ge=1, le=MOST_AT_ONCE, description="Of JSON alone: the other forms give all.")
    cursor: Cursor = None
    format: Form | None = Field(None, description="In place of the header Accept.")


@router.get(
    "/audit",
    response_model=AuditPage,
    responses={
        200: {
            **FROM_READ_MODELS[200],
            "content": {MEDIA_TYPES[form]: {} for form in (Form.CSV, Form.NDJSON)},
        },
        406: {"model": ProblemDetails},
    },
    openapi_extra=described(AuditQuery),
)
async def audit_trail(
    service: TheService,
    caller: TheCaller,
    response: Response,
    wanted: Annotated[AuditQuery, Depends(query_into(AuditQuery))],
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Any:  # noqa: ANN401 - a page, or a stream
    """List who did and who authorised what, and what was refused, newest first.

    JSON is a page; `text/csv` and `application/x-ndjson` are all entries from the cursor on.
    """
    form = wanted.format or form_wanted(accept)
    which = AuditFilter(*(getattr(wanted, name) for name in AuditFilter._fields))
    headers = service.freshness.headers(READ_MODEL)
    if form is Form.JSON:
        page = await _page(service, caller.tenant, which, wanted.limit, wanted.cursor)
        response.headers.update(headers)
        return {"entries": page.items, "next_cursor": page.next_cursor}
    with ExitStack() as held:
        held.enter_context(service.streams.hold(caller.tenant))
        # Before the answer begins: what is wrong can still be told.
        page = await _page(service, caller.tenant, which, MOST_AT_ONCE, wanted.cursor)
        return HeldStream(
            _streamed(service, caller.tenant, which, page, form),
            held.pop_all(),
            media_type=MEDIA_TYPES[form],
            headers={**headers, "Content-Disposition": f'attachment; filename="audit.{form}"'},
        )


async def _page(
    service: Service, tenant: str, which: AuditFilter, limit: int, cursor: str | None
) -> Page[AuditEntry]:
    return await service.database.ask(
        tenant, lambda conn: queries.audit_trail(conn, tenant, which, limit=limit, cursor=cursor)
    )


async def _streamed(
    service: Service,
    tenant: str,
    which: AuditFilter,
    page: Page[AuditEntry],
    form: Form,
) -> AsyncIterator[bytes]:
    """Give the entries of this page and of all that follow, a page in memory at a time.

    Each page is a question of its own: a client that reads slowly holds neither a connection nor a snapshot.
    """
    if form is Form.CSV:
        yield csv_lines([_COLUMNS])
    while True:
        if page.items:
            yield _written(page.items, form)
        if page.next_cursor is None:
            return
        page = await _page(service, tenant, which, MOST_AT_ONCE, page.next_cursor)


def _written(entries: Sequence[AuditEntry], form: Form) -> bytes:
    if form is Form.CSV:
        return csv_lines(map(_cells, entries))
    return b"".join(_entry.dump_json(entry) + b"\n" for entry in entries)
