"""What the headers of an answer tell of the read model that it is from."""

from typing import Any
from uuid import uuid4

import asyncpg

from eventstore import StreamKey
from integration.query_service.conftest import Clients
from integration.query_service.shop import APPLE, Shop, sale

# The one that the order is in.
_PARTITION = "SELECT partition FROM projections.checkpoints WHERE read_model = 'sales' AND next_offset = 3"
_REWIND = "UPDATE projections.checkpoints SET next_offset = 1, replay_until = 3 WHERE read_model = 'sales'"


async def test_an_answer_tells_how_far_its_read_model_is(
    database: Any, shop: Shop, new_client: Clients
) -> None:
    """Each read model's answers tell how many records it is behind, where known, and that it is replaying."""
    await shop.send(StreamKey("store-1", uuid4()), *sale(APPLE))
    await shop.catch_up()
    conn = await asyncpg.connect(database.dsn("projector"))
    partition = await conn.fetchval(_PARTITION)
    await conn.execute(_REWIND)
    await conn.close()
    client = await new_client("auditor")
    freshness = (await new_client.app()).state.service.freshness

    async def told(path: str) -> tuple[str | None, str | None]:
        headers = (await client.get(path)).headers
        return headers.get("tillstream-records-behind"), headers.get("tillstream-replaying")

    await freshness.look()
    assert await told("/v1/sales") == (None, "true")
    assert await told("/v1/orders") == (None, None)
    freshness._ends = lambda: {partition: 4}
    await freshness.look()
    assert await told("/v1/sales") == ("3", "true")
    assert await told("/v1/audit?format=csv") == ("1", None)
