"""Lists of orders, one order, and reading one's own write, over HTTP."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from eventstore import StreamKey
from integration.query_service.conftest import Clients
from integration.query_service.shop import APPLE, NOON, PEAR, Sent, Shop, sale

KEY = StreamKey("store-1", uuid4())
PATH = f"/v1/orders/{KEY.aggregate_id}"


def keys(count: int, tenant: str = "store-1") -> list[StreamKey]:
    return [StreamKey(tenant, UUID(int=number + 1)) for number in range(count)]


async def test_a_list_is_filtered_sorted_and_paged(shop: Shop, new_client: Clients) -> None:
    """Pages of a filtered list hold each order that matches once, in the order asked for."""
    for number, key in enumerate(keys(7)):
        at = NOON + timedelta(minutes=number)
        cashier = "anna" if number % 2 else "ben"
        moved = [each._replace(occurred_at=at) for each in sale(*[APPLE] * (number + 1), cashier=cashier)]
        await shop.send(key, *moved)
    await shop.catch_up()
    client = await new_client("cashier")
    found, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        asked = {"cashier_id": "ben", "sort": "total", "direction": "asc", "limit": "2", "total_min": "4"}
        page = (await client.get("/v1/orders", params=asked | ({"cursor": cursor} if cursor else {}))).json()
        found += [order["total"] for order in page["orders"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert (found, pages) == (["9.00", "15.00", "21.00"], 2)
    newest = (await client.get("/v1/orders", params={"limit": 1})).json()["orders"]
    assert newest == [
        {
            "order_id": str(UUID(int=7)),
            "status": "confirmed",
            "cashier_id": "ben",
            "currency": "EUR",
            "business_day": "2026-03-01",
            "line_count": 7,
            "subtotal": "21.00",
            "discount": "0.00",
            "total": "21.00",
            "version": 9,
            "created_at": "2026-03-01T12:06:00Z",
            "updated_at": "2026-03-01T12:06:00Z",
            "recorded_at": "2026-03-01T12:06:00Z",
        }
    ]


async def test_a_cursor_belongs_to_its_question(shop: Shop, new_client: Clients) -> None:
    """A cursor of another filter, order or tenant, or none of ours, is told as a wrong field."""
    for key in [*keys(2), *keys(2, "store-2")]:
        await shop.send(key, *sale(APPLE))
    await shop.catch_up()
    client = await new_client()
    cursor = (await client.get("/v1/orders", params={"limit": 1})).json()["next_cursor"]
    other = await new_client(tenant="store-2")
    for asker, asked in (
        (client, {"cursor": cursor, "sort": "total"}),
        (client, {"cursor": cursor, "status": "open"}),
        (client, {"cursor": "bm9uZQ"}),
        (client, {"cursor": "\N{SNOWMAN}"}),
        (other, {"cursor": cursor}),
    ):
        refused = await asker.get("/v1/orders", params=asked)
        assert refused.status_code == 400, refused.text
        assert [error["field"] for error in refused.json()["errors"]] == ["query.cursor"]


async def test_an_order_has_the_lines_of_the_read_models_version(shop: Shop, new_client: Clients) -> None:
    """One order is its row of the read model with the lines of that version, not of a newer one."""
    await shop.send(KEY, *sale(APPLE, confirmed=False))
    await shop.catch_up()
    discount = {"line_id": "1", "amount": "0.50", "authorised_by": "max", "reason": "bruised"}
    await shop.send(KEY, Sent("ApplyLineDiscount", discount), Sent("AddItem", PEAR))
    client = await new_client("cashier")
    before = (await client.get(PATH)).json()
    assert (before["version"], before["total"], len(before["lines"])) == (2, "3.00", 1)
    await shop.catch_up()
    now = (await client.get(PATH)).json()
    assert (now["version"], now["total"], now["line_count"]) == (4, "3.30", 2)
    first = {
        "line_id": "1",
        "product_id": "p-apple",
        "name": "Apple",
        "quantity": "2",
        "unit_price": "1.50",
        "gross": "3.00",
        "discount": "0.50",
        "net": "2.50",
        "order_discount": "0.00",
        "discounted": {"percent": None, "amount": "0.50", "authorised_by": "max", "reason": "bruised"},
    }
    assert first.items() <= now["lines"][0].items()


async def test_an_order_that_the_log_lacks_is_told_as_such(
    shop: Shop, new_client: Clients, database: Any
) -> None:
    """Where the read model has a version that the store has not, the answer says that, and it is logged."""
    await shop.send(KEY, *sale(APPLE, confirmed=False))
    await shop.catch_up()
    conn = await asyncpg.connect(database.dsn("projector"))
    await conn.execute("UPDATE projections.order_summary_1 SET version = 7")
    await conn.close()
    client = await new_client()
    with capture_logs() as logged:
        answer = await client.get(PATH)
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal-error")
    assert "version 7, which the event store does not have" in answer.json()["detail"]
    (told,) = [each for each in logged if each["event"] == "order.not_in_the_log"]
    assert (told["log_level"], told["order_id"], told["version"]) == ("error", str(KEY.aggregate_id), 7)


async def test_who_names_a_version_waits_for_it(shop: Shop, new_client: Clients) -> None:
    """With `min_version` the answer comes once the read model has it, and is that version at least."""
    await shop.send(KEY, *sale(APPLE, confirmed=False))
    await shop.catch_up()
    await shop.send(KEY, Sent("AddItem", PEAR))
    client = await new_client()
    asking = asyncio.create_task(client.get(PATH, params={"min_version": 3, "timeout": 20}))
    done, _ = await asyncio.wait({asking}, timeout=0.3)
    assert not done
    await shop.catch_up()
    answer = await asking
    assert (answer.status_code, answer.json()["version"]) == (200, 3)


async def test_a_version_that_does_not_come_is_told(shop: Shop, new_client: Clients) -> None:
    """After the timeout the answer is 503 with when to try again, also where only the log has the order."""
    await shop.catch_up()
    await shop.send(KEY, *sale(APPLE, confirmed=False))
    client = await new_client()
    nothing = await client.get(PATH, params={"timeout": 0})
    assert (nothing.status_code, nothing.headers["retry-after"]) == (503, "1")
    await shop.catch_up()
    late = await client.get(PATH, params={"min_version": 3, "timeout": 0.05})
    assert (late.status_code, late.headers["retry-after"]) == (503, "1")
    assert late.json()["type"] == "/problems/not-there-yet"
    assert "is at version 2" in late.json()["detail"]


async def test_a_parked_order_is_told_at_once(shop: Shop, new_client: Clients, database: object) -> None:
    """Who waits for a version of a parked order learns so at once; what the read model has can be read."""
    await shop.send(KEY, *sale(APPLE, confirmed=False))
    await shop.catch_up()
    await park(database)
    client = await new_client()
    parked = await client.get(PATH, params={"min_version": 3, "timeout": 30})
    assert (parked.status_code, parked.json()["type"]) == (409, "/problems/order-parked")
    assert (await client.get(PATH)).json()["version"] == 2
    (states,) = [
        each
        for each in (await (await new_client("operator")).get("/v1/read-models")).json()["read_models"]
        if each["name"] == "order_summary"
    ]
    assert states["parked_orders"] == 1


async def park(database: object) -> None:
    """Park the order as a projector does that fails at version 3."""
    conn = await asyncpg.connect(database.dsn("projector"))  # type: ignore[attr-defined]
    await conn.execute(
        """
        INSERT INTO projections.parked (
            read_model, generation, tenant_id, order_id, partition, version, newest_version,
            last_offset, error
        ) VALUES ('order_summary', 1, $1, $2, 0, 3, 3, 9, 'broken')
        """,
        *KEY,
    )
    await conn.close()


@pytest.mark.parametrize("path", ["", "/history", "/at?version=1", "/diff?from=1&to=1"])
async def test_another_tenants_order_is_as_if_nobody_had_it(
    shop: Shop, new_client: Clients, path: str
) -> None:
    """Another tenant's order gets, byte for byte and at once, the answer of an order that nobody has."""
    await shop.send(KEY, *sale(APPLE))
    await shop.catch_up()
    client = await new_client(tenant="store-2")
    theirs = await client.get(f"{PATH}{path}")
    nobodys = await client.get(f"/v1/orders/{uuid4()}{path}")
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.content == nobodys.content
    assert theirs.headers == nobodys.headers
