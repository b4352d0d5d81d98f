"""Commands over HTTP, and what became of them."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import asyncpg
from fastapi import Request as HttpRequest
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.responses import JSONResponse, Response

from commands import ORDERS, UNKNOWN_FINGERPRINT, Request
from eventstore import decode_headers
from messaging import open_envelope
from queries.answers import AskedFor, CommandOutcome, outcome_of
from query_service.access import Caller, Role
from query_service.commands import NotSent, Stopped, Told, Waiting, read_body
from query_service.database import RETRY_AFTER
from query_service.documents import command_body
from query_service.parameters import LONGEST_WAIT, CommandId
from query_service.problems import Problem, ProblemDetails
from query_service.query_models import described, query_into
from query_service.routes.authenticated_route import BareRoute, v1_router
from query_service.routes.tags import Tag
from query_service.service import Service, TheCaller, TheService

_OUTCOME = """
SELECT command_id, command_type, aggregate_id, actor, occurred_at, headers, value, fingerprint
FROM command_outcomes WHERE tenant_id = $1 AND command_id = $2
"""

router = v1_router(Tag.COMMANDS)


class CommandPending(BaseModel):
    """The command is safe on its way, and has no outcome yet: the header Location says where it will be."""

    command_id: UUID
    order_id: UUID
    status: Literal["pending"] = "pending"


class CommandQuery(BaseModel):
    """What can be asked for beside the command."""

    timeout: float = Field(5.0, ge=0, le=LONGEST_WAIT, description="Wait for it as long, in seconds.")


_read_query = query_into(CommandQuery)


async def send_command(request: HttpRequest) -> Response:
    """Send a command as the token's actor and tenant, and wait for its outcome.

    It takes the way of every command, by Kafka. Sent again under the same id it has no second effect, and the
    same outcome: after a 202, a 429 or a failure, send it again.
    """
    service: Service = request.app.state.service
    caller: Caller = request.state.caller
    wanted = await _read_query(request)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem.of("unsupported-media-type", "The body must be application/json.")
    topic = ORDERS.topics(service.settings.topic_prefix).commands
    sent = read_body(await _body(request, service.settings.largest_body), caller, topic, datetime.now(UTC))
    with (
        service.commands_in_hand.hold(caller.tenant),
        service.outcomes.wait_for(sent.request) as waiting,
    ):
        if not service.outcomes.ready:
            raise _unavailable("Nothing was sent: Kafka does not answer.")
        try:
            await service.sender.send(sent.message)
        except NotSent:
            raise _unavailable(
                "Kafka has not acknowledged the command, which may be on its way or not: send it again under "
                "the same command_id, and it will have one effect at most."
            ) from None
        try:
            async with asyncio.timeout(wanted.timeout):
                answer = await _answer(service, sent.request, waiting)
        except (TimeoutError, Stopped):
            pending = CommandPending(command_id=sent.request.command_id, order_id=sent.order_id)
            place = f"/v1/commands/{pending.command_id}"
            return JSONResponse(pending.model_dump(mode="json"), 202, {"Location": place})
    if (code := answer["code"]) is not None:
        command_id = sent.request.command_ref
        raise Problem.of("command-rejected", answer["message"], code=code, command_id=command_id)
    return Response(to_json(answer), media_type="application/json")


router.add_api_route(
    "/commands",
    send_command,
    methods=["POST"],
    route_class_override=BareRoute,
    response_model=CommandOutcome,
    responses={
        202: {"model": CommandPending, "description": "Sent, and not answered in time."},
        413: {"model": ProblemDetails},
        415: {"model": ProblemDetails},
        422: {"model": ProblemDetails},
        429: {
            "model": ProblemDetails,
            "description": "Nothing was sent: too many requests of this caller, or as many commands as may "
            "be in hand here wait for their outcomes. Send it again, under the same command_id, after the "
            "seconds that Retry-After says.",
            "headers": {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}},
        },
        503: {
            "model": ProblemDetails,
            "description": "Kafka has not acknowledged the command in about 15 seconds, or its outcome "
            "can't be looked up: it may be on the topic or not, and take effect later. Send it again under "
            "the same command_id, as often as it takes: it takes effect once at most.",
        },
    },
    openapi_extra={**described(CommandQuery), "requestBody": command_body()},
)


@router.get(
    "/commands/{command_id}", response_model=CommandOutcome, responses={404: {"model": ProblemDetails}}
)
async def show_command(service: TheService, caller: TheCaller, command_id: CommandId) -> dict[str, Any]:
    """Tell what became of a command; of a cashier's own alone, where it is a cashier who asks.

    An outcome stays what it was for ever. A command that is still on its way has none: 404.
    """
    row = await _stored(service, caller.tenant, command_id)
    if row is None or (caller.role is Role.CASHIER and row["actor"] != caller.actor):
        raise Problem.of("not-found", "There is no outcome of such a command.")
    return _outcome_stored(row)


async def _body(request: HttpRequest, largest: int) -> bytes:
    """Return the body, of which no more is taken in than is allowed. Raises Problem (413)."""
    # FastAPI's own limit answers with plain text, whatever the app makes of it.
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > largest:
            raise Problem.of("body-too-large", f"A body may have {largest:,} bytes.")
    return body


async def _answer(service: Service, request: Request, waiting: Waiting) -> dict[str, Any]:
    """Wait for what the command is answered with. Raises Stopped, and Problem."""
    ours = {request.fingerprint, UNKNOWN_FINGERPRINT}
    while True:
        if (told := await waiting.next()) is not None:
            asked = AskedFor(
                request.command_id,
                request.command_type,
                request.aggregate_id,
                request.actor,
                request.occurred_at,
            )
            return outcome_of(asked, *told)
        # It may answer another body under the same id, sent elsewhere at the same time: the stored one tells.
        row = await _stored(service, request.tenant_id, request.command_id)
        if row is not None and row["fingerprint"] in ours:
            return _outcome_stored(row)


async def _stored(service: Service, tenant: str, command_id: UUID) -> asyncpg.Record | None:
    return await service.database.ask(tenant, lambda conn: conn.fetchrow(_OUTCOME, tenant, command_id))


def _outcome_stored(row: asyncpg.Record) -> dict[str, Any]:
    *asked, headers, value, _ = row
    return outcome_of(AskedFor(*asked), *Told.by(open_envelope(decode_headers(headers), value)))


def _unavailable(detail: str) -> Problem:
    return Problem.of("unavailable", detail, headers=RETRY_AFTER)
