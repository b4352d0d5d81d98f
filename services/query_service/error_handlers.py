"""How whatever goes wrong in a request becomes problem details."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from queries import BadCursor, NoSuchMoment, NoSuchOrder
from query_service.problems import LONGEST_ECHO, Problem

log = structlog.get_logger(__name__)

_OF_STATUS = {
    404: ("not-found", "There is nothing at this path."),
    405: ("method-not-allowed", "This method is not for this path."),
    413: ("body-too-large", "The body is larger than this service takes."),
    415: ("unsupported-media-type", "The body must be application/json."),
}


def answer_with_problems(app: FastAPI) -> None:
    """Have every failure of the app's routes answered with problem details."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(NoSuchOrder, _no_such_order)
    app.add_exception_handler(NoSuchMoment, _no_such_moment)
    app.add_exception_handler(BadCursor, _bad_cursor)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _failed)


async def _problem(_request: Request, error: Exception) -> Response:
    problem: Problem = _as(Problem, error)
    return problem.response()


async def _no_such_order(_request: Request, _error: Exception) -> Response:
    return Problem.of("not-found", "There is no such order.").response()


async def _no_such_moment(_request: Request, error: Exception) -> Response:
    return Problem.of("no-such-moment", f"The order {error}.").response()


async def _bad_cursor(_request: Request, error: Exception) -> Response:
    return Problem.of_fields([("query.cursor", str(error))]).response()


async def _invalid(_request: Request, error: Exception) -> Response:
    errors = _as(RequestValidationError, error).errors()
    return Problem.of_fields((_field(each["loc"]), _rule(each)) for each in errors).response()


async def _refused(_request: Request, error: Exception) -> Response:
    refusal = _as(HTTPException, error)
    slug, detail = _OF_STATUS.get(refusal.status_code, ("invalid-request", "The request can't be read."))
    return Problem.of(slug, detail, headers=refusal.headers).response()


async def _failed(request: Request, error: Exception) -> Response:
    log.error("http.failed", route=getattr(request.scope.get("route"), "name", None), exc_info=error)
    return Problem.of("internal-error", "The request could not be answered.").response()


def _as(kind: type[Any], error: Exception) -> Any:  # noqa: ANN401 - starlette's handlers take any exception
    if not isinstance(error, kind):
        raise TypeError(f"{error!r} is no {kind.__name__}")
    return error


def _field(loc: Sequence[str | int]) -> str:
    return ".".join(ascii(str(part)[:LONGEST_ECHO])[1:-1] for part in loc)


def _rule(error: Mapping[str, Any]) -> str:
    # pydantic's sentences begin with what the value is called there.
    message: str = error["msg"]
    if error["type"] == "missing":
        return "is required"
    for beginning in ("Input should be ", "Value error, "):
        if message.startswith(beginning):
            rest = message.removeprefix(beginning)
            return f"must be {rest}" if beginning == "Input should be " else rest
    return message
