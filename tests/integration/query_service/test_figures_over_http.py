"""Search, sales, products, the process, the audit trail and commands, over HTTP."""

import csv
import json
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from eventstore import StreamKey
from integration.query_service.conftest import Clients
from integration.query_service.shop import APPLE, NOON, Sent, Shop, sale
from integration.query_service.town import ACCEPTED_COMMAND, OPEN, REFUSED_COMMAND, SOLD, VOIDED


async def answer(client: Any, path: str, **params: Any) -> Any:
    found = await client.get(path, params=params)
    assert found.status_code == 200, found.text
    return found.json()


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        (str(SOLD), [("order", SOLD)]),
        (f" {str(SOLD).upper()} ", [("order", SOLD)]),
        (str(REFUSED_COMMAND), [("command", SOLD)]),
        (str(ACCEPTED_COMMAND), [("command", SOLD)]),
        ("p-apple", [("product", VOIDED), ("product", SOLD)]),
        ("2", [("line", SOLD)]),
        ("none such", []),
        ("'; DROP TABLE order_events; --", []),
    ],
)
async def test_search_finds_by_any_id(town_client: Clients, text: str, hits: list[tuple[str, Any]]) -> None:
    """An order's, a command's, a product's or a line's id leads to its orders, and nothing else does."""
    found = await answer(await town_client("cashier"), "/v1/search", q=text)
    assert sorted((hit["kind"], hit["order_id"]) for hit in found["hits"]) == sorted(
        (kind, str(order_id)) for kind, order_id in hits
    )


async def test_sales_are_told_apart_by_what_is_asked_for(town_client: Clients) -> None:
    """Sales are by day unless asked otherwise, amounts are texts, and what is not asked for is null."""
    client = await town_client()
    (row,) = (await answer(client, "/v1/sales"))["sales"]
    assert row == {
        "currency": "EUR",
        "business_day": "2026-03-01",
        "hour": None,
        "cashier_id": None,
        "orders": 1,
        "gross": "5.30",
        "discount": "0.53",
        "net": "4.77",
        "voids": 1,
    }
    (row,) = (await answer(client, "/v1/sales", group_by=["hour", "cashier_id"]))["sales"]
    assert (row["business_day"], row["hour"], row["cashier_id"]) == (None, 12, "anna")
    assert await answer(client, "/v1/sales", day_from="2026-03-02") == {"sales": []}


async def test_sales_as_of_a_time_are_those_recorded_by_then(town_client: Clients) -> None:
    """As of a time before the void was recorded the voided order counts, and the late one does not."""
    client = await town_client()
    (row,) = (await answer(client, "/v1/sales", as_of="2026-03-01T12:30:00Z"))["sales"]
    assert (row["orders"], row["net"], row["voids"]) == (1, "3.00", 0)
    (row,) = (await answer(client, "/v1/sales", as_of="2026-03-01T13:30:00+01:00", clock="occurred"))["sales"]
    assert (row["orders"], row["net"], row["voids"]) == (1, "4.77", 1)


async def test_products_come_page_by_page(town_client: Clients) -> None:
    """Each product sold is there once with its amounts, after all discounts; a voided order's is not."""
    client = await town_client()
    first = await answer(client, "/v1/products", limit=1)
    assert first["products"] == [
        {
            "product_id": "p-apple",
            "currency": "EUR",
            "name": "Apple",
            "quantity": "3",
            "gross": "4.50",
            "discount": "0.45",
            "net": "4.05",
        }
    ]
    last = await answer(client, "/v1/products", limit=1, cursor=first["next_cursor"])
    assert [(each["product_id"], each["net"]) for each in last["products"]] == [("p-pear", "0.72")]
    assert last["next_cursor"] is None


async def test_a_product_is_named_as_last_sold(shop: Shop, new_client: Clients) -> None:
    """A void of an older sale, which is recorded later, does not bring the old name back."""
    old, new = StreamKey("store-1", uuid4()), StreamKey("store-1", uuid4())
    await shop.send(old, *sale(APPLE))
    await shop.send(new, *sale({**APPLE, "name": "Red apple"}), recorded_at=NOON + timedelta(hours=1))
    void = Sent("VoidOrder", {"reason": "customer left", "authorised_by": "max"})
    await shop.send(old, void, recorded_at=NOON + timedelta(hours=2))
    await shop.catch_up(["product_movements"])
    (product,) = (await answer(await new_client(), "/v1/products"))["products"]
    assert (product["name"], product["quantity"]) == ("Red apple", "2")


async def test_the_process_has_its_edges_and_ends(town_client: Clients) -> None:
    """The map tells which event follows which, how often, how soon, and where orders begin and end."""
    found = await answer(await town_client("operator"), "/v1/process")
    edges = {(edge["from_type"], edge["to_type"]): edge["count"] for edge in found["edges"]}
    assert edges["OrderCreated", "ItemAdded"] == 3
    assert edges["OrderConfirmed", "OrderVoided"] == 1
    assert found["edges"][0]["median"] == 0.0
    assert found["starts"] == {"OrderCreated": 3}
    assert found["ends"] == {"OrderConfirmed": 1, "OrderVoided": 1, "ItemAdded": 1}


async def test_the_audit_trail_in_all_its_forms_is_the_same(town_client: Clients) -> None:
    """Pages of JSON, lines of JSON and CSV hold the same entries in the same order, newest first."""
    client = await town_client("auditor")
    entries: list[Any] = []
    cursor = None
    while not entries or cursor:
        page = await answer(client, "/v1/audit", limit=4, **({"cursor": cursor} if cursor else {}))
        entries += page["entries"]
        cursor = page["next_cursor"]
    assert len(entries) == len({(each["order_id"], each["version"], each["command_id"]) for each in entries})
    assert [each["recorded_at"] for each in entries] == sorted(
        (each["recorded_at"] for each in entries), reverse=True
    )
    lines = await client.get("/v1/audit", headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line) for line in lines.text.splitlines()] == entries
    sheet = await client.get("/v1/audit", headers={"Accept": "text/csv"})
    assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(StringIO(sheet.text, newline="")))
    assert [(row["order_id"], row["version"], row["kind"]) for row in rows] == [
        (each["order_id"], str(each["version"] or ""), each["kind"]) for each in entries
    ]
    (discounted,) = [row for row in rows if row["kind"] == "DiscountApplied"]
    assert json.loads(discounted["after"])["discount"]["reason"] == "=regular"


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        ({"kind": "refused"}, ["refused"]),
        ({"authoriser": "max"}, ["OrderVoided", "DiscountApplied", "refused"]),
        ({"actor": "ben", "order_id": str(OPEN)}, ["ItemAdded", "OrderCreated"]),
        ({"since": "2026-03-01T12:30:00Z", "kind": "OrderConfirmed"}, ["OrderConfirmed"]),
        ({"until": "2026-03-01T12:00:00Z"}, []),
        ({"product_id": "p-apple", "kind": "ItemAdded"}, ["ItemAdded", "ItemAdded"]),
    ],
    ids=str,
)
async def test_the_audit_trail_is_filtered(
    town_client: Clients, asked: dict[str, str], kinds: list[str]
) -> None:
    """Each filter leaves the entries that it names; several must all hold."""
    client = await town_client()
    kept = [each["kind"] for each in (await answer(client, "/v1/audit", **asked))["entries"]]
    # A refused command is recorded by the database's own clock.
    assert sorted(kept) == sorted(kinds)


async def test_a_form_that_there_is_not_is_refused(town_client: Clients) -> None:
    """Who takes none of the forms is told which there are; `format` goes before the header."""
    client = await town_client()
    headers = {"Accept": "text/html"}
    refused = await client.get("/v1/audit", headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (406, "/problems/not-acceptable")
    given = await client.get("/v1/audit", params={"format": "csv"}, headers=headers)
    assert given.headers["content-disposition"] == 'attachment; filename="audit.csv"'


async def test_what_became_of_a_command_is_told(town_client: Clients) -> None:
    """A command's outcome is told with its version or its code; a cashier sees their own commands alone."""
    client = await town_client("cashier", actor="anna")
    accepted = await answer(client, f"/v1/commands/{ACCEPTED_COMMAND}")
    assert (accepted["status"], accepted["version"], accepted["order_id"]) == ("accepted", 6, str(SOLD))
    assert len(accepted["event_ids"]) == 1
    others = await client.get(f"/v1/commands/{REFUSED_COMMAND}")
    nobodys = await client.get(f"/v1/commands/{uuid4()}")
    assert (others.status_code, others.content) == (404, nobodys.content)
    refused = await answer(await town_client(), f"/v1/commands/{REFUSED_COMMAND}")
    assert (refused["status"], refused["code"], refused["version"]) == ("rejected", "order_not_open", None)
    assert refused["message"]


async def test_a_clock_that_was_ahead_is_told(shop: Shop, new_client: Clients) -> None:
    """The outcome says so where it was too far ahead; the audit trail finds what was so, by any measure."""
    late, early = StreamKey("store-1", uuid4()), StreamKey("store-1", uuid4())
    ahead = NOON + timedelta(minutes=10)
    create = {"cashier_id": "anna", "currency": "EUR"}
    (right,) = await shop.send(late, Sent("CreateOrder", create))
    (wrong,) = await shop.send(early, Sent("CreateOrder", create, occurred_at=ahead), recorded_at=NOON)
    await shop.catch_up(["audit_log"])
    client = await new_client()
    assert (await answer(client, f"/v1/commands/{right}"))["clock_ahead"] is None
    assert (await answer(client, f"/v1/commands/{wrong}"))["clock_ahead"] == 600
    (entry,) = (await answer(client, "/v1/audit", clock_ahead_min=600))["entries"]
    assert (entry["order_id"], entry["clock_ahead"]) == (str(early.aggregate_id), 600)
    assert (await answer(client, "/v1/audit", clock_ahead_min=601))["entries"] == []


async def test_read_models_tell_how_they_stand(town_client: Clients) -> None:
    """Each read model tells its generation and how far it is; without Kafka's word not how far behind."""
    found = await answer(await town_client("operator"), "/v1/read-models")
    assert {each["name"] for each in found["read_models"]} >= {"order_summary", "sales", "audit_log"}
    for each in found["read_models"]:
        assert (each["generation"], each["replaying"], each["parked_orders"]) == (1, False, 0)
        assert (each["paused_by"], each["build"]) == ([], None)


async def test_a_builds_progress_tells_nothing_of_other_tenants(
    database: Any, shop: Shop, new_client: Clients
) -> None:
    """How far a build is comes as a percentage: the orders that it counts are those of all tenants."""
    await shop.catch_up(["sales"])
    conn = await asyncpg.connect(database.dsn())
    await conn.execute(
        "INSERT INTO operations.builds (read_model, kind, version, state, orders_done, orders_total)"
        " VALUES ('sales', 'rebuild', 2, 'scanning', 3, 8)"
    )
    await conn.close()
    found = await answer(await new_client("auditor"), "/v1/read-models")
    (build,) = [each["build"] for each in found["read_models"] if each["name"] == "sales"]
    assert build == {"kind": "rebuild", "state": "scanning", "percent_done": 37}
