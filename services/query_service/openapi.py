"""The app's OpenAPI document, where FastAPI's own says something else than what is answered."""

from typing import Any

from fastapi import FastAPI

from query_service.documents import command_components
from query_service.problems import PROBLEM_JSON, ProblemDetails

# FastAPI's own answer to a wrong parameter, which is a problem of status 400 here.
_VALIDATION = ("HTTPValidationError", "ValidationError")
_PROBLEM = {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}


class DocumentedApi(FastAPI):
    """An app whose document gives problems the media type that they have, and operations their own words.

    FastAPI describes every answer of a route under that of its successes, and makes an operation's summary of
    its function's name.
    """

    def openapi(self) -> dict[str, Any]:
        """Return the document."""
        if self.openapi_schema is None:
            document = super().openapi()
            schemas = document["components"]["schemas"]
            for unused in _VALIDATION:
                del schemas[unused]
            schemas |= command_components()
            for operations in document["paths"].values():
                for operation in operations.values():
                    summary, _, description = operation["description"].partition("\n\n")
                    operation |= {"summary": summary.removesuffix("."), "description": description}
                    for status, response in list(operation["responses"].items()):
                        if _VALIDATION[0] in str(response.get("content")):
                            del operation["responses"][status]
                        _correct(response)
        return super().openapi()


def _correct(response: dict[str, Any]) -> None:
    kinds = response.get("content", {})
    for kind, content in list(kinds.items()):
        if content.get("schema") == _PROBLEM:
            kinds[PROBLEM_JSON] = kinds.pop(kind)
