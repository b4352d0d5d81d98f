"""The relay beside a transaction that somebody forgot, and beside one that commits late."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
import pytest
from pydantic_core import from_json

from eventstore import encode_headers
from harness.waiting import eventually
from messaging import KafkaConnection, Producer
from outbox_relay import floor
from outbox_relay.floor import Floor
from outbox_relay.relay import BYTES, READ, ROWS, SESSION, Relay
from outbox_relay.shards import Shards
from runtime import Database, Health, Settings

ALL_SHARDS = list(range(16))
FILL = """
INSERT INTO outbox (shard, topic, headers, value)
SELECT n % 16, 't', $2::json, convert_to(n::text, 'UTF8') FROM generate_series(1, $1) AS n
"""


class Sent(Producer):
    """A producer that keeps what it is given: Kafka has no part in this."""

    values: list[int]

    def __init__(self, _kafka: KafkaConnection) -> None:
        pass

    async def start(self) -> None: ...

    async def send(self, messages: Any) -> None:
        self.values += [int(message.value or b"") for message in messages]

    async def drop(self) -> None: ...


@pytest.fixture
def relayed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the values that relays of this test have sent."""
    monkeypatch.setattr(floor, "LOOK_INTERVAL", 0.02)
    Sent.values = []
    return Sent.values


@asynccontextmanager
async def relaying(database: Any) -> AsyncIterator[Relay]:
    stop = asyncio.Event()
    settings = Settings(database_url=database.dsn("outbox_relay"))
    relay = Relay(
        settings,
        Database(settings.database_url, "test", server_settings=SESSION),
        Shards(),
        Sent,
        Health(),
        floor=Floor(),
    )
    task = asyncio.create_task(relay.run(stop))
    try:
        yield relay
    finally:
        stop.set()
        await asyncio.wait({task}, timeout=20)


async def fill(connection: Any, count: int) -> None:
    await connection.execute(FILL, count, encode_headers([]))


async def blocks_read(connection: Any, lowest: int) -> int:
    """Return how many pages one read of the relay looks at."""
    # The statement that it runs, with the values that it gives.
    statement = READ
    for number, value in (
        (1, f"'{{{','.join(map(str, ALL_SHARDS))}}}'"),
        (2, ROWS),
        (3, BYTES),
        (4, lowest),
        (5, "'{}'"),
    ):
        statement = statement.replace(f"${number}", str(value))
    (told,) = await connection.fetchrow(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
    plan = from_json(told)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def dead_rows_under(database: Any, relayed: list[int], statement: str) -> tuple[int, int]:
    """Have 30,000 rows sent under a forgotten transaction; return a read's pages by its floor, and from 0."""
    async with (
        asyncpg.create_pool(database.dsn(), min_size=2, server_settings=SESSION) as pool,
        pool.acquire() as forgotten,
        pool.acquire() as connection,
    ):
        held = forgotten.transaction(isolation="repeatable_read")
        await held.start()
        await forgotten.fetch(statement)
        async with relaying(database) as relay:
            for _ in range(3):
                await fill(connection, 10_000)
            await eventually(lambda: _is(len(relayed) == 30_000))
            lowest = await connection.fetchval("SELECT max(last_value) FROM outbox_id_seq")
            await eventually(lambda: _is(relay._floor.id > lowest))
            pages = await blocks_read(connection, relay._floor.id), await blocks_read(connection, 0)
        await held.rollback()
    return pages


async def _is(truth: bool) -> bool:
    return truth


async def _has_sent(relayed: list[int], count: int) -> bool:
    return len(relayed) == count


async def _has_looked_since(relay: Relay, moment: float) -> bool:
    return relay._floor._looked_at > moment


@pytest.mark.parametrize(
    "statement", ["SELECT count(*) FROM outbox", "CREATE TABLE scratch (a int)"], ids=["reads", "writes"]
)
async def test_a_forgotten_transaction_makes_no_read_longer(
    database: Any, relayed: list[int], statement: str
) -> None:
    """Whatever a forgotten transaction did, the relay passes over the dead rows that it keeps."""
    by_floor, from_start = await dead_rows_under(database, relayed, statement)
    assert from_start > 100, "nothing was kept: the test proves nothing"
    assert by_floor < 20


async def test_a_late_commit_below_the_highest_id_is_sent(database: Any, relayed: list[int]) -> None:
    """A transaction that took its ids early and commits late is sent, however many came and went since."""
    async with (
        asyncpg.create_pool(database.dsn(), min_size=2) as pool,
        pool.acquire() as late,
        pool.acquire() as connection,
        relaying(database) as relay,
    ):
        held = late.transaction()
        await held.start()
        await late.execute(
            "INSERT INTO outbox (shard, topic, headers, value) VALUES (0, 't', $1, '-1')", encode_headers([])
        )
        for sent in range(1, 6):
            await fill(connection, 100)
            await eventually(partial(_has_sent, relayed, sent * 100))
            # Long enough for the floor to be raised, were it not for the late one.
            for _ in range(3):
                await eventually(partial(_has_looked_since, relay, relay._floor._looked_at))
        assert relay._floor.id <= 1
        await held.commit()
        await eventually(lambda: _is(-1 in relayed))
        await eventually(lambda: _is(relay._floor.id > 500))
