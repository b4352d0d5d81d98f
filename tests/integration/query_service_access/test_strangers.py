"""What a tenant can find out of another one: nothing, by any endpoint of the OpenAPI document."""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx

from integration.query_service.conftest import Issuer
from integration.query_service.town import OTHERS, OURS, REFUSED_COMMAND, SOLD, THEIRS, UNHEARD_OF, VOIDED
from query_service.access import PERMISSIONS

NOBODYS = UUID(int=9)
# Values that the first tenant's orders hold, and values that nobody's do, by the parameter they go in.
HELD = {
    "actor": "ben",
    "authoriser": "max",
    "cashier_id": "ben",
    "command_id": str(REFUSED_COMMAND),
    "line_id": "1",
    "order_id": str(VOIDED),
    "product_id": "p-pear",
    "q": str(VOIDED),
}
FREE = {
    **dict.fromkeys(HELD, "z-9"),
    **dict.fromkeys(("command_id", "order_id", "q"), str(NOBODYS)),
}
_WATERMARK = re.compile(r'"watermark":"[0-9.]+-[0-9:,]+"')
NEEDED = {"from": "1", "to": "1", "version": "1"}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give path, method and description of all that the document has under /v1."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/v1/"):
                yield path, method, operation


def told(answer: httpx.Response) -> str:
    """Give what of an answer could tell of another tenant.

    Of the moment, and nobody's, are the date and how far the server has counted its transactions.
    """
    moment = {"date", "content-length"} if _WATERMARK.search(answer.text) else {"date"}
    headers = {name: value for name, value in answer.headers.items() if name not in moment}
    return json.dumps([answer.status_code, headers, _WATERMARK.sub("", answer.text)], sort_keys=True)


async def ask(client: httpx.AsyncClient, path: str, method: str, operation: Any, values: Any) -> str:
    """Ask an endpoint with all values that it takes, in path, query or body."""
    parameters = {each["name"]: each for each in operation.get("parameters", ())}
    known = {**NEEDED, **values}
    query = {
        name: known[name] for name, each in parameters.items() if each["in"] == "query" and name in known
    }
    body = None
    if method == "post":
        body = {"command_id": known["command_id"], "order_id": known["order_id"], "type": "ConfirmOrder"}
    answer = await client.request(method, path.format(**values), params=query, json=body)
    assert answer.status_code in {200, 404, 503}, (path, answer.text)
    return told(answer)


async def test_a_stranger_cannot_tell_what_is_anothers_from_what_is_nobodys(
    http: httpx.AsyncClient, issuer: Issuer
) -> None:
    """Every endpoint answers another tenant's ids and names, byte for byte, as those that nobody has."""
    asked = set()
    for path, method, operation in operations((await http.get("/openapi.json")).json()):
        # The name of a route, which its permission goes by, begins the id of its operation.
        name = max((each for each in PERMISSIONS if operation["operationId"].startswith(each)), key=len)
        http.headers["Authorization"] = f"Bearer {issuer.token(PERMISSIONS[name][0], tenant='store-9')}"
        free = await ask(http, path, method, operation, FREE)
        for order_id in (SOLD, VOIDED, THEIRS):
            held = {**HELD, "order_id": str(order_id), "q": str(order_id)}
            assert await ask(http, path, method, operation, held) == free, path
        for q in ("p-pear", UNHEARD_OF, str(REFUSED_COMMAND)):
            assert await ask(http, path, method, operation, {**HELD, "q": q}) == free, path
        asked.add(name)
    assert asked == PERMISSIONS.keys()


async def test_nothing_of_a_tenant_is_in_any_answer_to_another(
    http: httpx.AsyncClient, issuer: Issuer
) -> None:
    """Each endpoint, asked for all there is, tells nothing of what only the other tenant's orders hold."""
    order_ids = {OURS: {SOLD, VOIDED}, OTHERS: {SOLD, THEIRS}}
    for tenant, mine in order_ids.items():
        for path, method, operation in operations((await http.get("/openapi.json")).json()):
            if method != "get" or path == "/v1/events":
                continue
            name = max((each for each in PERMISSIONS if operation["operationId"].startswith(each)), key=len)
            http.headers["Authorization"] = f"Bearer {issuer.token(PERMISSIONS[name][-1], tenant=tenant)}"
            for order_id in {order for orders in order_ids.values() for order in orders}:
                given = {each["name"] for each in operation.get("parameters", ())}
                params = {key: value for key, value in {**NEEDED, "q": str(order_id)}.items() if key in given}
                filled = path.format(order_id=order_id, command_id=REFUSED_COMMAND)
                answer = await http.get(filled, params=params)
                if "{order_id}" in path:
                    assert answer.is_success == (order_id in mine), (tenant, filled)
                assert (UNHEARD_OF in answer.text) <= (tenant == OTHERS), (tenant, filled)
                assert ("p-pear" in answer.text) <= (tenant == OURS), (tenant, filled)


async def test_a_tenants_name_in_a_token_is_only_a_name(http: httpx.AsyncClient, issuer: Issuer) -> None:
    """A tenant's name that looks like SQL, a pattern or no text at all opens no other tenant's orders."""
    names: list[Any] = [
        "store-1' OR '1'='1", "store-1'--", "store-%", "store-_", "STORE-1", " store-1", "store-1 ",
        "store-1\n", "store-1\x00", "store-1,store-2", "", "*", "NULL", "\u202estore-1", "x" * 5_000,
        1, True, None, ["store-1"], {"eq": "store-1"},
    ]  # fmt: skip
    for tenant in names:
        http.headers["Authorization"] = f"Bearer {issuer.token('auditor', tenant=tenant)}"
        for path in ("/v1/orders", f"/v1/search?q={SOLD}"):
            answer = await http.get(path)
            assert answer.status_code in {200, 401}, (tenant, answer.text)
            found = {**answer.json(), "watermark": None}
            assert answer.status_code == 401 or not any(found.values()), path
        assert (await http.get(f"/v1/orders/{SOLD}")).status_code in {401, 404}, tenant
