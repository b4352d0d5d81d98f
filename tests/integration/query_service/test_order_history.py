"""What happened to an order, over HTTP."""

from uuid import uuid4

from eventstore import StreamKey
from integration.query_service.conftest import Clients
from integration.query_service.shop import APPLE, PEAR, Shop, sale

KEY = StreamKey("store-1", uuid4())


async def test_history_comes_page_by_page(shop: Shop, new_client: Clients) -> None:
    """History lists every event once, oldest first, with who did it; `next_after` leads to the next page."""
    await shop.send(KEY, *sale(APPLE, PEAR))
    client = await new_client()
    path = f"/v1/orders/{KEY.aggregate_id}/history"
    first = (await client.get(path, params={"limit": 3})).json()
    assert [(event["version"], event["type"], event["actor"]) for event in first["events"]] == [
        (1, "OrderCreated", "anna"),
        (2, "ItemAdded", "anna"),
        (3, "ItemAdded", "anna"),
    ]
    assert first["events"][1]["data"]["unit_price"] == "1.50"
    last = (await client.get(path, params={"limit": 3, "after": first["next_after"]})).json()
    assert [event["type"] for event in last["events"]] == ["OrderConfirmed"]
    assert last["next_after"] is None
    assert (await client.get(path, params={"after": 4})).json()["events"] == []


async def test_another_tenants_order_is_not_there(shop: Shop, new_client: Clients) -> None:
    """Another tenant's order gets, byte for byte, the answer of one that nobody has."""
    await shop.send(KEY, *sale(APPLE))
    client = await new_client(tenant="store-2")
    theirs = await client.get(f"/v1/orders/{KEY.aggregate_id}/history")
    nobodys = await client.get(f"/v1/orders/{uuid4()}/history")
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.content == nobodys.content
    assert theirs.headers == nobodys.headers
