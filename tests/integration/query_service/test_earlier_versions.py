"""What is asked while a read model is at an earlier version than this build's: after a rollback, say."""

from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from eventstore import StreamKey
from integration.query_service.conftest import Clients
from integration.query_service.shop import APPLE, Shop, sale

# Figures of the generation before would be told: its view stays as it was.
AS_OF = "/v1/sales?as_of=2026-03-02T00:00:00Z"
_ROLL_BACK = "UPDATE projections.generations SET version = 1 WHERE read_model = $1 AND state = 'live'"


@pytest.mark.parametrize(
    ("read_model", "unanswered", "answered"),
    [
        ("sales", [AS_OF, f"{AS_OF}&clock=occurred"], ["/v1/sales", "/v1/products"]),
        (
            "audit_log",
            ["/v1/audit", "/v1/audit?format=csv", "/v1/orders?line_id=1", "/v1/search?q=p-apple"],
            ["/v1/orders", AS_OF],
        ),
        ("order_summary", [], ["/v1/orders", "/v1/search?q=p-apple"]),
    ],
)
async def test_what_an_earlier_version_cannot_tell_is_not_answered(
    database: Any,
    shop: Shop,
    new_client: Clients,
    *,
    read_model: str,
    unanswered: list[str],
    answered: list[str],
) -> None:
    """A question that needs the newer version is told so, and what to do; all others are answered."""
    await shop.send(StreamKey("store-1", uuid4()), *sale(APPLE))
    await shop.catch_up()
    client = await new_client()
    for path in [*unanswered, *answered]:
        assert (await client.get(path)).status_code == 200, path
    conn = await asyncpg.connect(database.dsn("projector"))
    await conn.execute(_ROLL_BACK, read_model)
    await conn.close()
    for path in unanswered:
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/not-there-yet"), path
        assert f"till rebuild {read_model}" in answer.json()["detail"]
        assert answer.headers["retry-after"]
    for path in answered:
        assert (await client.get(path)).status_code == 200, path
