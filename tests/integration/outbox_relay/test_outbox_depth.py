"""How much waits in the outbox, measured beside the relay."""

from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from eventstore import encode_headers, outbox_depth
from outbox_relay.depth import Depth
from runtime import Database

INSERT = """
INSERT INTO outbox (shard, topic, headers, created_at)
SELECT n % 16, 't', $2::json, now() - n * interval '1 minute' FROM generate_series($1::int, 1, -1) AS n
"""


async def add(dsn: str, count: int) -> asyncpg.Connection:
    connection = await asyncpg.connect(dsn)
    await connection.execute(INSERT, count, encode_headers([]))
    return connection


async def measured(database: Any) -> tuple[float, float]:
    """Give rows and the oldest one's seconds, as a scrape gets them."""
    held = Database(SecretStr(database.dsn("outbox_relay")), "test")
    await Depth(held).look(await held.connection())
    await held.close()
    rows, seconds = map(
        REGISTRY.get_sample_value, ("tillstream_outbox_rows", "tillstream_outbox_oldest_seconds")
    )
    assert rows is not None
    assert seconds is not None
    return rows, seconds


async def test_the_depth_is_what_waits(database: Any) -> None:
    """Rows and the age of the oldest are what the outbox holds; an empty one has neither."""
    assert await measured(database) == (0, 0)
    connection = await add(database.dsn(), 40)
    rows, seconds = await measured(database)
    assert rows == 40
    assert 2400 <= seconds < 3600
    await connection.execute("DELETE FROM outbox")
    await connection.close()
    assert await measured(database) == (0, 0)


async def test_a_long_outbox_is_estimated(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound nothing is counted: what left from the low end is not in the estimate, either."""
    monkeypatch.setattr(outbox_depth, "COUNTED", 10)
    connection = await add(database.dsn(), 40)
    await connection.execute("DELETE FROM outbox WHERE id <= 20")
    assert (await measured(database))[0] == 20
    # A gap in the middle is taken for waiting: that is the price.
    await connection.execute("DELETE FROM outbox WHERE id = 30")
    assert (await measured(database))[0] == 20
    await connection.execute("DELETE FROM outbox WHERE id <= 31")
    await connection.close()
    assert (await measured(database))[0] == 9


async def test_what_waits_ages_while_the_database_is_away(database: Any) -> None:
    """Between looks, and without a database to look at, the oldest message's age goes on growing."""
    connection = await add(database.dsn(), 1)
    now = [5_000.0]
    await Depth(Database(SecretStr(""), "unused"), clock=lambda: now[0]).look(connection)
    await connection.close()
    before = REGISTRY.get_sample_value("tillstream_outbox_oldest_seconds")
    now[0] += 1_000
    assert before is not None
    assert REGISTRY.get_sample_value("tillstream_outbox_oldest_seconds") == pytest.approx(before + 1_000)
