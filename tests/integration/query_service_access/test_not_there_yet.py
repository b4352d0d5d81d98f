"""Read models that no projector of this build has made."""

from typing import Any

import asyncpg
import pytest

from integration.query_service.conftest import Clients
from integration.query_service.shop import Shop


@pytest.mark.parametrize("made_by", ["nobody", "an earlier build"])
async def test_what_is_not_there_yet_is_no_fault(
    database: Any, new_client: Clients, shop: Shop, made_by: str
) -> None:
    """Without a read model, or with one whose tenants are not kept apart yet, the answer is to try again."""
    if made_by != "nobody":
        await shop.catch_up(["order_summary"])
        conn = await asyncpg.connect(database.dsn("projector"))
        await conn.execute("REVOKE ALL ON read_models.order_summary FROM tillstream_query_service")
        await conn.close()
    answer = await (await new_client()).get("/v1/orders")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/not-there-yet")
    assert answer.headers["retry-after"]
