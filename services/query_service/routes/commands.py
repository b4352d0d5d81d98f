"""Commands over HTTP, and what became of them."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import asyncpg
import jiter
from fastapi import Request
from pydantic import BaseModel
from starlette.responses import JSONResponse

from commands import CLOCK_AHEAD_ATTRIBUTE, ORDERS, UNKNOWN_FINGERPRINT
from eventstore import decode_headers
from queries.answers import CommandOutcome, outcome_of
from query_service.access import Caller, Role
from query_service.commands import NotSent, Sent, Waiting, read_body
from query_service.database import RETRY_AFTER
from query_service.documents import command_body
from query_service.parameters import CommandId, Wait
from query_service.problems import Problem, ProblemDetails
from query_service.routes.authenticated_route import v1_router
from query_service.routes.tags import Tag
from query_service.service import Service, TheCaller, TheService

_OUTCOME = """
SELECT command_id, command_type, aggregate_id, actor, occurred_at, recorded_at, code, version, value,
       fingerprint, headers
FROM command_outcomes WHERE tenant_id = $1 AND command_id = $2
"""

router = v1_router(Tag.COMMANDS)


class CommandPending(BaseModel):
    """The command is safe on its way, and has no outcome yet: the header Location says where it will be."""

    command_id: UUID
    order_id: UUID
    status: Literal["pending"] = "pending"


@router.post(
    "/commands",
    status_code=200,
    response_model=CommandOutcome,
    responses={
        202: {"model": CommandPending, "description": "Sent, and not answered in time."},
        413: {"model": ProblemDetails},
        415: {"model": ProblemDetails},
        422: {"model": ProblemDetails},
        503: {
            "model": ProblemDetails,
            "description": "Kafka has not acknowledged the command in about 15 seconds, or its outcome "
            "can't be looked up: it may be on the topic or not, and take effect later. Send it again under "
            "the same command_id, as often as it takes: it takes effect once at most.",
        },
    },
    openapi_extra={"requestBody": command_body()},
)
async def send_command(
    service: TheService,
    caller: TheCaller,
    *,
    request: Request,
    timeout: Wait = 5.0,  # noqa: ASYNC109 - a parameter of the request
) -> Any:  # noqa: ANN401 - one of two models
    """Send a command as the token's actor and tenant, and wait for its outcome.

    It takes the way of every command, by Kafka. Sent again under the same id it has no second effect, and the
    same outcome: after a 202 or a failure, send it again.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem.of("unsupported-media-type", "The body must be application/json.")
    topic = ORDERS.topics(service.settings.topic_prefix).commands
    sent = read_body(await _body(request, service.settings.largest_body), caller, topic, datetime.now(UTC))
    with service.outcomes.wait_for(sent.request) as waiting:
        if not service.outcomes.ready:
            raise _unavailable("Nothing was sent: Kafka does not answer.")
        try:
            await service.sender.send(sent.message)
        except NotSent:
            raise _unavailable(
                "Kafka has not acknowledged the command, which may be on its way or not: send it again under "
                "the same command_id, and it will have one effect at most."
            ) from None
        outcome = await _outcome(service, caller, sent, waiting, timeout)
    if outcome is not None:
        return outcome
    pending = CommandPending(command_id=sent.request.command_id, order_id=sent.order_id)
    return JSONResponse(
        pending.model_dump(mode="json"), 202, {"Location": f"/v1/commands/{pending.command_id}"}
    )


@router.get(
    "/commands/{command_id}", response_model=CommandOutcome, responses={404: {"model": ProblemDetails}}
)
async def show_command(service: TheService, caller: TheCaller, command_id: CommandId) -> dict[str, Any]:
    """Tell what became of a command; of a cashier's own alone, where it is a cashier who asks."""
    row = await service.database.ask(caller.tenant, lambda conn: _stored(conn, caller.tenant, command_id))
    if row is None or (caller.role is Role.CASHIER and row["actor"] != caller.actor):
        raise Problem.of("not-found", "There is no outcome of such a command.")
    return outcome_of(row, jiter.from_json(row["value"]), _clock_ahead(row))


async def _body(request: Request, largest: int) -> bytes:
    """Return the body, of which no more is taken in than is allowed. Raises Problem (413)."""
    # FastAPI's own limit answers with plain text, whatever the app makes of it.
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > largest:
            raise Problem.of("body-too-large", f"A body may have {largest:,} bytes.")
    return body


async def _outcome(
    service: Service, caller: Caller, sent: Sent, waiting: Waiting, seconds: float
) -> dict[str, Any] | None:
    """Return what the command was accepted with; None when that isn't known in time.

    Raises Problem (422) where it was rejected.
    """
    answering = asyncio.create_task(_answer(service, caller, sent, waiting))
    stopping = asyncio.create_task(service.stopping.wait())
    tasks: set[asyncio.Task[Any]] = {answering, stopping}
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _answer(service: Service, caller: Caller, sent: Sent, waiting: Waiting) -> dict[str, Any]:
    ours = {sent.request.fingerprint, UNKNOWN_FINGERPRINT}
    while True:
        outcome = await waiting.next()
        if outcome.of_this_body:
            raise _rejected(sent, outcome.data["code"], outcome.data["message"])
        # It may answer another body under the same id, sent elsewhere at the same time: the stored one tells.
        row = await service.database.ask(
            caller.tenant, lambda conn: _stored(conn, caller.tenant, sent.request.command_id)
        )
        if row is None or row["fingerprint"] not in ours:
            continue
        told = jiter.from_json(row["value"])
        if row["code"] is not None:
            raise _rejected(sent, row["code"], told["message"])
        return outcome_of(row, told, _clock_ahead(row))


def _clock_ahead(row: asyncpg.Record) -> int | None:
    seconds = dict(decode_headers(row["headers"])).get(f"ce_{CLOCK_AHEAD_ATTRIBUTE}")
    return None if seconds is None else int(seconds)


async def _stored(conn: asyncpg.Connection, tenant: str, command_id: UUID) -> asyncpg.Record | None:
    return await conn.fetchrow(_OUTCOME, tenant, command_id)


def _rejected(sent: Sent, code: str, message: str) -> Problem:
    return Problem.of("command-rejected", message, code=code, command_id=str(sent.request.command_id))


def _unavailable(detail: str) -> Problem:
    return Problem.of("unavailable", detail, headers=RETRY_AFTER)
