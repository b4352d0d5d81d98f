"""The routes under /v1: each admits its caller before it looks at anything else."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, get_args, get_origin

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from query_service.problems import LONGEST_ECHO, Problem, ProblemDetails
from query_service.routes.tags import Tag

_REFUSALS = (400, 401, 403, 429, 503)
_bearer = HTTPBearer(auto_error=False, scheme_name="token", bearerFormat="JWT")


class AuthenticatedRoute(APIRoute):
    """A route that knows its caller: `request.state.caller`.

    It refuses query parameters that it doesn't know, and those given twice that have one value.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, behind admission."""
        handler = self._inner_handler()
        name, many = self.name, dict(_query_parameters(self))

        async def guarded(request: Request) -> Response:
            request.state.caller = request.app.state.service.admission.admit(request, name)
            if request.scope["query_string"]:
                _check_query(request, many)
            return await handler(request)

        return guarded

    def _inner_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return super().get_route_handler()


class BareRoute(AuthenticatedRoute):
    """One whose function takes the request, and returns the response; `openapi_extra` tells what it reads.

    FastAPI's own way to a function's parameters takes longer than all else that is done for a command.
    """

    def _inner_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


def v1_router(tag: Tag) -> APIRouter:
    """Return a router for routes under /v1 of one kind, each with the name of its function."""
    return APIRouter(
        prefix="/v1",
        tags=[tag],
        route_class=AuthenticatedRoute,
        # Clients that are generated name their methods by it.
        generate_unique_id_function=lambda route: route.name,
        # It checks nothing: it tells the OpenAPI document what `guarded` asks for.
        dependencies=[Depends(_bearer)],
        responses={status: {"model": ProblemDetails} for status in _REFUSALS},
    )


def _query_parameters(route: APIRoute) -> Iterator[tuple[str, bool]]:
    """Give each query parameter, and whether it may be given several times."""
    for field in route.dependant.query_params:
        yield field.alias, _is_list(field.field_info.annotation)
    for described in (route.openapi_extra or {}).get("parameters", ()):
        if described["in"] == "query":
            yield described["name"], False


def _is_list(annotation: object) -> bool:
    return get_origin(annotation) is list or any(_is_list(part) for part in get_args(annotation))


def _check_query(request: Request, many: dict[str, bool]) -> None:
    errors = []
    seen = set()
    for name, _ in request.query_params.multi_items():
        if name not in many:
            errors.append((f"query.{ascii(name[:LONGEST_ECHO])[1:-1]}", "is no parameter of this"))
        elif name in seen and not many[name]:
            errors.append((f"query.{name}", "must be given once"))
        seen.add(name)
    if errors:
        raise Problem.of_fields(errors)
