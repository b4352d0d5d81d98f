"""Copying orders over HTTP: what changed since the last list, however late it was uploaded."""

from datetime import timedelta
from uuid import UUID

import httpx

from eventstore import StreamKey
from integration.query_service.conftest import Clients
from integration.query_service.shop import APPLE, NOON, PEAR, Sent, Shop, sale


def key(number: int, tenant: str = "store-1") -> StreamKey:
    return StreamKey(tenant, UUID(int=number))


async def listed(client: httpx.AsyncClient, since: str | None = None) -> tuple[dict[str, int], str]:
    """Walk over all pages; give each order's version, and the watermark."""
    found: dict[str, int] = {}
    asked = {"limit": "2"} | ({} if since is None else {"changed_since": since})
    answer = (await client.get("/v1/orders", params=asked)).json()
    watermark: str = answer["watermark"]
    while True:
        found |= {order["order_id"]: order["version"] for order in answer["orders"]}
        if answer["next_cursor"] is None:
            return found, watermark
        answer = (await client.get("/v1/orders", params=asked | {"cursor": answer["next_cursor"]})).json()
        assert answer["watermark"] == watermark


async def test_a_list_of_changes_has_late_uploads_and_only_the_tenants_own(
    shop: Shop, new_client: Clients
) -> None:
    """Whoever comes back with the watermark gets what was recorded since, whatever clocks say."""
    for number in (1, 2, 3):
        await shop.send(key(number), *sale(APPLE, confirmed=False))
    await shop.catch_up(["order_summary"])
    client = await new_client()
    whole, watermark = await listed(client)
    assert len(whole) == 3
    yesterday = NOON - timedelta(days=1)
    late = [each._replace(occurred_at=yesterday) for each in sale(PEAR)]
    await shop.send(key(4), *late, recorded_at=NOON)
    await shop.send(key(2), Sent("ConfirmOrder", {}))
    await shop.send(key(5, "store-2"), *sale(APPLE))
    await shop.catch_up(["order_summary"])
    news, watermark = await listed(client, watermark)
    assert news == {str(UUID(int=4)): 3, str(UUID(int=2)): 3}
    (order,) = (
        await client.get(
            "/v1/orders",
            params={"recorded_from": NOON.isoformat(), "sort": "updated_at", "direction": "asc", "limit": 1},
        )
    ).json()["orders"]
    assert (order["order_id"], order["updated_at"], order["recorded_at"]) == (
        str(UUID(int=4)),
        "2026-02-28T12:00:00Z",
        "2026-03-01T12:00:00Z",
    )
    assert (await listed(client, watermark))[0] == {}


async def test_a_made_up_watermark_is_told(new_client: Clients, shop: Shop) -> None:
    """A watermark that is none of ours is told as a wrong field; one of another era begins anew."""
    await shop.send(key(1), *sale(APPLE))
    await shop.catch_up(["order_summary"])
    client = await new_client()
    for made_up in (
        "yesterday",
        "1",
        "-",
        "1-1",
        "1-0:1:",
        "1-2:1:",
        "1-2:9:4,3",
        "1-2:9:9",
        f"1-{'9' * 30}:1:",
    ):
        refused = await client.get("/v1/orders", params={"changed_since": made_up})
        assert refused.status_code == 400, made_up
        assert refused.json()["errors"] == [
            {"field": "query.changed_since", "rule": "is no watermark that was given out here"}
        ]
    old = await client.get("/v1/orders", params={"changed_since": "1.1.1-999999999:999999999:"})
    assert len(old.json()["orders"]) == 1
