"""How whatever goes wrong in a request becomes problem details."""

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
    for kind in (Problem, NoSuchOrder, NoSuchMoment, BadCursor, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(Exception, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    match error:
        case Problem():
            problem = error
        case NoSuchOrder():
            problem = Problem.of("not-found", "There is no such order.")
        case NoSuchMoment():
            problem = Problem.of("no-such-moment", f"The order {error}.")
        case BadCursor():
            problem = Problem.of_fields([("query.cursor", str(error))])
        case RequestValidationError():
            problem = Problem.of_fields((_field(each["loc"]), _rule(each)) for each in error.errors())
        case HTTPException():
            told = _OF_STATUS.get(error.status_code, ("invalid-request", "The request can't be read."))
            problem = Problem.of(*told, headers=error.headers)
        case _:
            log.error("http.failed", route=getattr(request.scope.get("route"), "name", None), exc_info=error)
            problem = Problem.of("internal-error", "The request could not be answered.")
    return problem.response()


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
