"""What parameters may be: a wrong one is told by its name and the rule it breaks."""

from typing import Any

import pytest

from integration.query_service.conftest import Clients
from integration.query_service.town import SOLD

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/orders", {"limit": "0"}, "query.limit"),
    ("/v1/orders", {"limit": "201"}, "query.limit"),
    ("/v1/orders", {"limit": "many"}, "query.limit"),
    ("/v1/orders", {"limit": ["1", "2"]}, "query.limit"),
    ("/v1/orders", {"status": "new"}, "query.status"),
    ("/v1/orders", {"statis": "open"}, "query.statis"),
    ("/v1/orders", {"sort": "order_id; DROP TABLE order_events"}, "query.sort"),
    ("/v1/orders", {"direction": "up"}, "query.direction"),
    ("/v1/orders", {"cashier_id": ""}, "query.cashier_id"),
    ("/v1/orders", {"cashier_id": "x" * 65}, "query.cashier_id"),
    ("/v1/orders", {"cashier_id": "a\x00b"}, "query.cashier_id"),
    ("/v1/orders", {"currency": "eur"}, "query.currency"),
    ("/v1/orders", {"created_from": "2026-03-01"}, "query.created_from"),
    ("/v1/orders", {"created_from": "2026-03-01T12:00:00"}, "query.created_from"),
    ("/v1/orders", {"created_from": "2026-03-01T25:00:00Z"}, "query.created_from"),
    ("/v1/orders", {"created_from": "0001-01-01T00:00:00+14:00"}, "query.created_from"),
    ("/v1/orders", {"created_from": "1772366400"}, "query.created_from"),
    ("/v1/orders", {"business_day_from": "2026-02-30"}, "query.business_day_from"),
    ("/v1/orders", {"business_day_from": "1999-12-31"}, "query.business_day_from"),
    ("/v1/orders", {"total_min": "1e9"}, "query.total_min"),
    ("/v1/orders", {"total_min": "NaN"}, "query.total_min"),
    ("/v1/orders", {"total_max": "9" * 5000}, "query.total_max"),
    ("/v1/orders", {"cursor": "x" * 1001}, "query.cursor"),
    ("/v1/orders/17", {}, "path.order_id"),
    (f"/v1/orders/{SOLD}", {"min_version": "0"}, "query.min_version"),
    (f"/v1/orders/{SOLD}", {"min_version": str(2**31)}, "query.min_version"),
    (f"/v1/orders/{SOLD}", {"timeout": "31"}, "query.timeout"),
    (f"/v1/orders/{SOLD}", {"timeout": "nan"}, "query.timeout"),
    (f"/v1/orders/{SOLD}/history", {"after": "-1"}, "query.after"),
    (f"/v1/orders/{SOLD}/at", {}, "query.version"),
    (f"/v1/orders/{SOLD}/at", {"version": "1", "time": "2026-03-01T12:00:00Z"}, "query.version"),
    (f"/v1/orders/{SOLD}/at", {"version": "1", "clock": "wall"}, "query.clock"),
    (f"/v1/orders/{SOLD}/diff", {"from": "1"}, "query.to"),
    (f"/v1/orders/{SOLD}/diff", {"from": "0", "to": "1"}, "query.from"),
    (f"/v1/orders/{SOLD}/diff", {"from": "yesterday", "to": "1"}, "query.from"),
    (f"/v1/orders/{SOLD}/diff", {"from": "1", "to": "9" * 40}, "query.to"),
    (f"/v1/orders/{SOLD}/diff", {"from": "1", "to": "٣"}, "query.to"),
    ("/v1/search", {}, "query.q"),
    ("/v1/search", {"q": " "}, "query.q"),
    ("/v1/search", {"q": "\N{SNOWMAN}" * 65}, "query.q"),
    ("/v1/search", {"q": "a\x00"}, "query.q"),
    ("/v1/sales", {"group_by": "tenant_id"}, "query.group_by.0"),
    ("/v1/sales", {"as_of": "now"}, "query.as_of"),
    ("/v1/products", {"limit": "1001"}, "query.limit"),
    ("/v1/products", {"cursor": "none"}, "query.cursor"),
    ("/v1/process", {"day_to": "tomorrow"}, "query.day_to"),
    ("/v1/audit", {"kind": "Voided"}, "query.kind"),
    ("/v1/audit", {"format": "xlsx"}, "query.format"),
    ("/v1/audit", {"clock_ahead_min": "0"}, "query.clock_ahead_min"),
    ("/v1/audit", {"order_id": "17"}, "query.order_id"),
    ("/v1/audit", {"cursor": "WyJhIl0"}, "query.cursor"),
    ("/v1/read-models", {"tenant": "store-2"}, "query.tenant"),
    ("/v1/commands/17", {}, "path.command_id"),
]


async def test_a_wrong_parameter_is_told(town_client: Clients) -> None:
    """Each parameter is bounded; a wrong one is told by its name and a rule, and is not quoted."""
    client = await town_client("auditor")
    for path, params, field in WRONG:
        answer = await client.get(path, params=params)
        assert answer.status_code == 400, (path, params, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert [error["field"] for error in problem["errors"]] == [field], (path, params, problem)
        assert problem["errors"][0]["rule"]
        assert len(answer.content) < 1000


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/v1/nothing", 404, "not-found"),
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/v1/orders/", 404, "not-found"),
        ("DELETE", "/v1/orders", 405, "method-not-allowed"),
        ("POST", f"/v1/orders/{SOLD}", 405, "method-not-allowed"),
        ("GET", "/problems/none-such", 404, "not-found"),
        ("GET", "/v1/orders/%00", 400, "invalid-request"),
        ("GET", "/v1/orders?limit=%ff", 400, "invalid-request"),
    ],
)
async def test_what_is_not_there_is_told_as_a_problem(
    town_client: Clients, method: str, path: str, status: int, slug: str
) -> None:
    """Every failure is problem details, and its type leads to a page that explains it."""
    client = await town_client()
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}"), answer.text
    assert answer.json()["status"] == status
    page = await client.get(answer.json()["type"], headers={"Authorization": ""})
    assert (page.status_code, page.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert answer.json()["title"] in page.text


async def test_what_fails_inside_tells_nothing_of_itself(
    town_client: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect is an answer without particulars, and the particulars are logged."""

    async def broken(*_: object, **__: object) -> None:
        raise LookupError("a secret of ours")

    monkeypatch.setattr("queries.list_orders", broken)
    answer = await (await town_client()).get("/v1/orders")
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal-error")
    assert "secret" not in answer.text


async def test_a_database_that_is_away_is_told(town_client: Clients) -> None:
    """Without its database the service says that it is unavailable, and is not ready; it does not end."""
    client = await town_client(database_url="postgresql://nobody:secret@127.0.0.1:1/nothing")
    answer = await client.get("/v1/orders")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert answer.headers["retry-after"] == "1"
    assert "127.0.0.1" not in answer.text
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["problems"].keys() >= {"database"}) == (503, True)
    assert (await client.get("/healthz")).status_code == 200


async def test_a_question_that_takes_too_long_is_given_up(
    town_client: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database gives up a question after the set time, and the answer says to ask for less."""

    async def slow(conn: Any, *_: object, **__: object) -> None:
        await conn.execute("SELECT pg_sleep(20)")

    monkeypatch.setattr("queries.list_orders", slow)
    answer = await (await town_client(statement_timeout=0.1)).get("/v1/orders")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/took-too-long")
