"""Documents for whoever writes a client: for programs as JSON, for people as pages."""

from functools import cache

from fastapi import APIRouter
from pydantic_core import to_json
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from query_service.documents import (
    CONTENT_SECURITY_POLICY,
    PLAIN_POLICY,
    asyncapi_document,
    messages_page,
    page_files,
    schema_addresses,
    swagger_page,
)
from query_service.problems import KINDS, Problem

SCHEMA_JSON = "application/schema+json"

router = APIRouter(include_in_schema=False)


@router.get("/")
async def start() -> Response:
    """Lead whoever opens the bare address to the page that explains it."""
    # Relative: whatever a proxy puts before it stays.
    return RedirectResponse("docs")


@router.get("/docs")
async def http_api_page() -> Response:
    """Show the HTTP API with Swagger UI, from this service's own files."""
    return HTMLResponse(
        swagger_page(base="docs/files/", messages="docs/messages"),
        headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY},
    )


@router.get("/docs/messages")
async def messages() -> Response:
    """Show the messages on Kafka."""
    return HTMLResponse(
        messages_page(asyncapi_document(), base="files/", http_api="../docs"),
        headers={"Content-Security-Policy": PLAIN_POLICY},
    )


@router.get("/docs/files/{name}")
async def page_file(name: str) -> Response:
    """Return a file that a page needs."""
    file = page_files().get(name)
    if file is None:
        raise Problem.of("not-found", "There is no such file.")
    return Response(
        file.content,
        media_type=file.media_type,
        headers={"Cache-Control": "max-age=3600", "Content-Security-Policy": PLAIN_POLICY},
    )


@router.get("/asyncapi.json")
async def asyncapi() -> Response:
    """Return the AsyncAPI document of the topics."""
    return Response(to_json(asyncapi_document()), media_type="application/json")


@router.get("/schemas/{kind}/{name}")
async def schema(kind: str, name: str) -> Response:
    """Return the JSON Schema of a command or an event."""
    found = _schemas().get(f"/schemas/{kind}/{name}")
    if found is None:
        raise Problem.of("not-found", "There is no such schema.")
    return Response(found, media_type=SCHEMA_JSON)


@router.get("/problems/{slug}")
async def problem_page(slug: str) -> PlainTextResponse:
    """Explain one kind of problem."""
    kind = KINDS.get(slug)
    if kind is None:
        raise Problem.of("not-found", "There is no such kind of problem.")
    return PlainTextResponse(f"{kind.title} ({kind.status})\n\n{kind.explanation}\n")


@cache
def _schemas() -> dict[str, bytes]:
    return {address: to_json(schema) for address, schema in schema_addresses().items()}
