"""The app's OpenAPI document, where FastAPI's own says something else than what is answered."""

from typing import Any

from fastapi import FastAPI

from query_service.problems import PROBLEM_JSON, ProblemDetails

_PROBLEM = {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}


class DocumentedApi(FastAPI):
    """An app whose document gives problems the media type that they have, and operations their own words.

    FastAPI describes every answer of a route under that of its successes, and makes an operation's summary of
    its function's name.
    """

    def openapi(self) -> dict[str, Any]:
        """Return the document."""
        if self.openapi_schema is None:
            for operations in super().openapi()["paths"].values():
                for operation in operations.values():
                    summary, _, description = operation["description"].partition("\n\n")
                    operation |= {"summary": summary.removesuffix("."), "description": description}
                    for response in operation["responses"].values():
                        _correct(response)
        return super().openapi()


def _correct(response: dict[str, Any]) -> None:
    kinds = response.get("content", {})
    for kind, content in list(kinds.items()):
        if content.get("schema") == _PROBLEM:
            kinds[PROBLEM_JSON] = kinds.pop(kind)
