"""Transactions that somebody forgot: told by name, and ended where the role only reads."""

from typing import Any

import asyncpg
import pytest

from eventstore import end_forgotten_transactions
from eventstore.oldest_snapshot import oldest_snapshot
from harness.waiting import eventually


async def test_the_holder_of_the_oldest_snapshot_is_named(database: Any) -> None:
    """It is told whose it is and how old; a session without a transaction holds nothing."""
    looking = await asyncpg.connect(database.dsn("outbox_relay"))
    settings = {"application_name": "monthly report"}
    analyst = await asyncpg.connect(database.dsn("analyst"), server_settings=settings)
    try:
        assert await oldest_snapshot(looking) is None
        async with analyst.transaction(isolation="repeatable_read"):
            await analyst.fetchval("SELECT count(*) FROM order_events")
            found = await oldest_snapshot(looking)
            assert found is not None
            pid = analyst.get_server_pid()
            assert found.holder == f"tillstream_analyst (monthly report), pid {pid}"
            assert found.seconds >= 0
        assert await oldest_snapshot(looking) is None
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await oldest_snapshot(analyst)
    finally:
        await analyst.close()
        await looking.close()


@pytest.mark.parametrize(
    ("role", "bound"), [("analyst", "5min"), ("query", "1min"), ("query_service", "1min")]
)
async def test_roles_that_read_have_a_bound(database: Any, role: str, bound: str) -> None:
    """PostgreSQL ends their sessions here whose transaction stands idle for longer than the bound."""
    owner = await asyncpg.connect(database.dsn())
    await end_forgotten_transactions(owner)
    await owner.close()
    reading = await asyncpg.connect(database.dsn(role))
    assert await reading.fetchval("SHOW idle_in_transaction_session_timeout") == bound
    await reading.close()


async def test_a_forgotten_transaction_ends(database: Any) -> None:
    """Past the bound PostgreSQL ends the session, and its snapshot is gone."""
    looking = await asyncpg.connect(database.dsn("outbox_relay"))
    analyst = await asyncpg.connect(
        database.dsn("analyst"), server_settings={"idle_in_transaction_session_timeout": "200ms"}
    )
    forgotten = analyst.transaction(isolation="repeatable_read")
    await forgotten.start()
    await analyst.fetchval("SELECT count(*) FROM order_events")

    async def gone() -> bool:
        return await oldest_snapshot(looking) is None and analyst.is_closed()

    await eventually(gone)
    await looking.close()
