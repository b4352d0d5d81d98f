"""Who may ask what, route by route; how often; and how much."""

import asyncio
import json
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
from fastapi import FastAPI

from integration.query_service.conftest import AUDIENCE, ISSUER, Clients, Issuer
from integration.query_service.town import OPEN, OTHERS, OURS, REFUSED_COMMAND, SOLD, THEIRS, VOIDED
from query_service.routes.authenticated_route import AuthenticatedRoute

ROLES = ("cashier", "manager", "auditor", "operator")
# Who may do what, by method and path: whoever adds a route says so here too.
MAY = {
    "GET /v1/orders": {"cashier", "manager", "auditor"},
    "GET /v1/orders/{order_id}": {"cashier", "manager", "auditor"},
    "GET /v1/orders/{order_id}/history": {"manager", "auditor"},
    "GET /v1/orders/{order_id}/at": {"manager", "auditor"},
    "GET /v1/orders/{order_id}/diff": {"manager", "auditor"},
    "GET /v1/search": {"cashier", "manager", "auditor"},
    "GET /v1/sales": {"manager", "auditor"},
    "GET /v1/products": {"manager", "auditor"},
    "GET /v1/process": {"manager", "auditor", "operator"},
    "GET /v1/audit": {"manager", "auditor"},
    "GET /v1/read-models": {"auditor", "operator"},
    "GET /v1/commands/{command_id}": {"cashier", "manager", "auditor"},
    "POST /v1/commands": {"cashier", "manager"},
    "GET /v1/events": {"cashier", "manager", "auditor"},
}
# A parameter that no route knows: whoever is let in is told so, and nothing is done.
NOWHERE = {"nonsense": "1"}


def guarded(app: FastAPI) -> Iterator[tuple[str, str, str]]:
    """Give each route under /v1: its method, its path, and a path to ask."""
    for route in app.routes:
        if isinstance(route, AuthenticatedRoute):
            filled = route.path.replace("{order_id}", str(SOLD)).replace("{command_id}", str(REFUSED_COMMAND))
            for method in route.methods or ():
                yield method, route.path, filled


@pytest.mark.parametrize("role", ROLES)
async def test_each_route_is_for_the_roles_of_the_table(town_client: Clients, role: str) -> None:
    """A role is let in where the table says so, and is told which roles are where it does not."""
    client = await town_client(role)
    routes = list(guarded(await town_client.app()))
    assert {f"{method} {path}" for method, path, _ in routes} == MAY.keys()
    for method, path, filled in routes:
        allowed = MAY[f"{method} {path}"]
        answer = await client.request(method, filled, params=NOWHERE)
        expected = (400, "invalid-request") if role in allowed else (403, "forbidden")
        assert (answer.status_code, answer.json()["type"]) == (expected[0], f"/problems/{expected[1]}"), path
        if role not in allowed:
            assert all(name in answer.json()["detail"] for name in allowed)


async def test_nothing_under_v1_is_open(town_client: Clients) -> None:
    """Without a token every route under /v1 answers 401 with a challenge; the open ones are not under it."""
    app = await town_client.app()
    client = await town_client(None)
    paths = [path for _, path, _ in guarded(app)]
    assert {path for path in _paths(app) if path.startswith("/v1")} == set(paths)
    for method, _, filled in guarded(app):
        answer = await client.request(method, filled, params=NOWHERE)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def _paths(app: FastAPI) -> Sequence[str]:
    return [getattr(route, "path", "") for route in app.routes]


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer ")],
        [("Authorization", "Basic YW5uYTpzZWNyZXQ=")],
        [("Authorization", "Bearer nonsense")],
        [("Authorization", b"Bearer \xff\xfe")],
        [("Authorization", "{token}")],
        [("Authorization", "Bearer {token}"), ("Authorization", "Bearer {token}")],
        [("Cookie", "Authorization=Bearer {token}")],
        [("Authorization", "Bearer {expired}")],
        [("Authorization", "Bearer {foreign}")],
        [("Authorization", "Bearer {unsigned}")],
    ],
    ids=str,
)
async def test_a_token_that_is_none_is_refused(
    town_client: Clients, issuer: Issuer, headers: list[tuple[str, Any]]
) -> None:
    """Anything but one good bearer token gets 401."""
    tokens = {
        "token": issuer.token(),
        "expired": issuer.token(exp=int(time.time()) - 60),
        "foreign": Issuer().token(),
        "unsigned": jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "anna"}, None, "none"),
    }
    filled = [(name, value.format(**tokens) if isinstance(value, str) else value) for name, value in headers]
    answer = await (await town_client(None)).get("/v1/orders", headers=filled)
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/not-authenticated")
    assert not any(token in answer.text for token in tokens.values())


async def test_the_development_identity_is_for_this_machine_and_who_sends_no_token(
    town_client: Clients, issuer: Issuer
) -> None:
    """It is who it says; a token goes before it, even a bad one; a name from elsewhere is not let in."""
    settings = {"development_identity": f"{OURS}:dev:cashier"}
    client = await town_client(None, **settings)
    assert len((await client.get("/v1/orders")).json()["orders"]) == 3
    assert (await client.get("/v1/sales")).status_code == 403
    theirs = await town_client("cashier", tenant=OTHERS, **settings)
    assert {order["order_id"] for order in (await theirs.get("/v1/orders")).json()["orders"]} == {
        str(SOLD),
        str(THEIRS),
    }
    bad = await client.get("/v1/orders", headers={"Authorization": "Bearer bad"})
    assert bad.status_code == 401
    rebound = await client.get("/v1/orders", headers={"Host": "evil.example"})
    assert rebound.status_code == 401
    without_keys = await town_client(None, jwt_keys="", **settings)
    assert (await without_keys.get("/v1/orders")).status_code == 200
    ours = {"Authorization": f"Bearer {issuer.token()}"}
    assert (await without_keys.get("/v1/orders", headers=ours)).status_code == 401


async def test_who_asks_too_often_waits(town_client: Clients) -> None:
    """Each actor of a tenant has their own minute; one too many is told when to come back."""
    hasty = await town_client(requests_per_minute=3)
    for _ in range(3):
        assert (await hasty.get("/v1/orders")).status_code == 200
    refused = await hasty.get("/v1/orders")
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    for other in ({"actor": "ben"}, {"tenant": OTHERS}):
        client = await town_client(requests_per_minute=3, **other)
        assert (await client.get("/v1/orders")).status_code == 200


async def test_streams_at_a_time_are_bounded(town_client: Clients) -> None:
    """A tenant has so many streams at a time and no more; one that has ended makes room."""
    client = await town_client(streams_per_tenant=1)
    service = (await town_client.app(streams_per_tenant=1)).state.service
    with service.streams.hold(OURS):
        refused = await client.get("/v1/audit", params={"format": "csv"})
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-streams")
        others = await town_client(tenant=OTHERS, streams_per_tenant=1)
        assert (await others.get("/v1/audit", params={"format": "csv"})).status_code == 200
    for _ in range(2):
        assert (await client.get("/v1/audit", params={"format": "ndjson"})).status_code == 200


def known_to_us(answer: httpx.Response) -> str:
    """Give what of an answer could tell of another tenant: its status, its headers and its body.

    How far the server has counted its transactions is of the moment, and nobody's.
    """
    body = re.sub(r'"watermark":"[0-9.]+-[0-9:,]+"', "", answer.text)
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return json.dumps([answer.status_code, sorted(headers.items()), body])


async def test_a_tenant_leaves_connections_to_the_others(
    town_client: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds half of the database's connections gets no more of them, and the others are answered."""
    monkeypatch.setattr("query_service.limits.SHARE_TIMEOUT", 0.1)
    database = (await town_client.app(database_connections=4)).state.service.database
    asked, answered = asyncio.Semaphore(0), asyncio.Event()

    async def long_question(_conn: object) -> None:
        asked.release()
        await answered.wait()

    async with asyncio.TaskGroup() as asking:
        for _ in range(2):
            asking.create_task(database.ask(OURS, long_question))
            await asked.acquire()
        refused = await (await town_client(database_connections=4)).get("/v1/orders")
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-requests")
        assert refused.headers["retry-after"]
        others = await (await town_client(tenant=OTHERS, database_connections=4)).get("/v1/orders")
        assert others.status_code == 200
        answered.set()
    assert (await (await town_client(database_connections=4)).get("/v1/orders")).status_code == 200


async def test_no_route_tells_that_another_tenant_has_something(town_client: Clients) -> None:
    """For a tenant without orders each answer about another's ids is that about ids that nobody has."""
    app = await town_client.app()
    stranger = {role: await town_client(role, tenant="store-9") for role in ROLES}
    document = app.openapi()
    asked = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method != "get" or path == "/v1/events":
                continue
            role = next(role for role in ROLES if role in MAY[f"GET {path}"])
            answers = []
            for order_id, command_id in (
                (SOLD, REFUSED_COMMAND),
                (VOIDED, REFUSED_COMMAND),
                (THEIRS, UUID(int=THEIRS.int + 100)),
                (UUID(int=9), UUID(int=9)),
            ):
                filled = path.format(order_id=order_id, command_id=command_id)
                answers.append(await stranger[role].get(filled, params=_required(operation)))
            assert len({known_to_us(answer) for answer in answers}) == 1, path
            assert answers[0].status_code in {200, 404}, (path, answers[0].text)
            asked += 1
    assert asked >= 12


def _required(operation: dict[str, Any]) -> dict[str, str]:
    values = {"from": "1", "to": "1", "q": str(SOLD)}
    parameters = operation.get("parameters", ())
    given = {each["name"]: values[each["name"]] for each in parameters if each["name"] in values}
    return given | ({"version": "1"} if any(each["name"] == "version" for each in parameters) else {})


@pytest.mark.parametrize("name", ["order", "command", "product", "line"])
async def test_search_finds_nothing_of_another_tenant(town_client: Clients, name: str) -> None:
    """Another tenant's ids are not found, and of an id that both use only one's own."""
    theirs = {"order": THEIRS, "command": UUID(int=THEIRS.int + 100), "product": "tulips", "line": "tulips"}
    client = await town_client()
    assert (await client.get("/v1/search", params={"q": str(theirs[name])})).json() == {"hits": []}
    (hit,) = (await client.get("/v1/search", params={"q": str(SOLD)})).json()["hits"]
    assert "tulips" not in hit["detail"]
    assert (await client.get(f"/v1/orders/{OPEN}")).json()["cashier_id"] == "ben"
