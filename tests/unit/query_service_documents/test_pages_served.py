"""The documents and pages as they are served."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from query_service.app import bare_app
from query_service.documents import schema_addresses
from query_service.error_handlers import answer_with_problems


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the app; documents need no servers and no token."""
    app = bare_app()
    answer_with_problems(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as made:
        yield made


async def test_pages_load_only_what_this_service_has(client: httpx.AsyncClient) -> None:
    """All that a page needs is there and its own; the policy allows no inline script and nothing foreign."""
    for page in ("/docs", "/docs/messages"):
        answer = await client.get(page)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy.get("script-src", "'none'") in {"'none'", "'self'"}
        assert not re.search(r"<script(?![^>]*\ssrc=)", answer.text)
        for needed in set(re.findall(r'(?:src|href)="([^"#]+)"', answer.text)):
            found = await client.get(str(answer.url.join(needed)))
            assert found.status_code == 200, needed
            assert found.url.host == "localhost"


async def test_the_bare_address_leads_to_the_pages(client: httpx.AsyncClient) -> None:
    """Whoever opens the service sees the HTTP API, and gets from there to the messages and back."""
    start = await client.get("/", follow_redirects=True)
    assert start.url.path == "/docs"
    (to_messages,) = re.findall(r'<a href="([^"]+)">messages<', start.text)
    messages = await client.get(str(start.url.join(to_messages)))
    assert messages.url.path == "/docs/messages"
    (back,) = re.findall(r'<a href="([^"]+)">HTTP API<', messages.text)
    assert messages.url.join(back).path == "/docs"


async def test_documents_are_served_for_programs(client: httpx.AsyncClient) -> None:
    """The AsyncAPI document, and the schema of each type at the address that it names."""
    assert (await client.get("/asyncapi.json")).json()["asyncapi"] == "3.1.0"
    for address, schema in schema_addresses().items():
        answer = await client.get(address)
        assert (answer.json(), answer.headers["content-type"]) == (schema, "application/schema+json")
    for nothing in ("/schemas/commands/Nonsense.json", "/schemas/x/AddItem.json", "/docs/files/..%2fapp.py"):
        answer = await client.get(nothing)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
