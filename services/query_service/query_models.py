"""Query parameters that are read into one model, and described in the OpenAPI document from it.

FastAPI can do both. For each request it then looks anew at what kind of field each parameter is, which takes
longer than the question to the database does.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)


def query_into(model: type[M]) -> Callable[[Request], Awaitable[M]]:
    """Return a dependency that reads the query into a model. None of its fields is a list."""

    async def read(request: Request) -> M:
        try:
            return model.model_validate(dict(request.query_params))
        except ValidationError as error:
            raise RequestValidationError(
                [{**each, "loc": ("query", *each["loc"])} for each in error.errors()]
            ) from None

    return read


def described(model: type[BaseModel]) -> dict[str, Any]:
    """Return what a route with such a query tells the document beside what FastAPI does (`openapi_extra`)."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    parameters = []
    for name, field in schema["properties"].items():
        told = _without_null(_inlined(field, definitions))
        description = told.pop("description", None)
        parameters.append(
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "schema": told,
                **({} if description is None else {"description": description}),
            }
        )
    return {"parameters": parameters}


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, list):
        return [_inlined(each, definitions) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {name: _inlined(each, definitions) for name, each in value.items()}
    reference = inner.pop("$ref", None)
    if reference is not None:
        inner = {**_inlined(definitions[reference.rpartition("/")[2]], definitions), **inner}
    return inner


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out that a parameter may be null: one that is not wanted is not given."""
    kinds = [each for each in schema.pop("anyOf", ()) if each != {"type": "null"}]
    if schema.get("default", ...) is None:
        del schema["default"]
    return {**(kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {}), **schema}
