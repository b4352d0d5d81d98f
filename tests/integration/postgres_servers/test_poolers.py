"""What services make of a pooler: a real PgBouncer before the session's PostgreSQL, where there is one."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from commands import ORDERS
from harness.other_process import other_process
from harness.pooler import pgbouncer
from harness.processes import ServiceProcess
from messaging import KafkaConnection, ensure_topics
from query_service.database import TenantDatabase
from runtime import Database, SharedSession

_SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY($1)"
_NAMES = ["TimeZone", "idle_in_transaction_session_timeout", "jit", "plan_cache_mode", "statement_timeout"]
_KEPT = {
    "TimeZone": "UTC",
    "idle_in_transaction_session_timeout": "5000",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",
    "statement_timeout": "0",
}
_LOCK = "SELECT pg_try_advisory_lock(4711)"
_PREPARED = "SELECT count(*) FROM pg_prepared_statements"
# Far from any retry budget, and beyond what it takes to find out by waiting.
AT_ONCE = 10.0


async def settings_of(conn: asyncpg.Connection) -> dict[str, str]:
    """Give what the session is set to at this moment."""
    return {row["name"]: row["setting"] for row in await conn.fetch(_SETTINGS, _NAMES)}


@asynccontextmanager
async def others(dsn: str) -> AsyncIterator[None]:
    """Have other clients take sessions and give them back all the time."""

    async def busy() -> None:
        conn = await asyncpg.connect(dsn, statement_cache_size=0)
        try:
            while True:
                await conn.execute("SELECT pg_sleep(0.001)")
        finally:
            conn.terminate()

    tasks = [asyncio.create_task(busy()) for _ in range(4)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_a_session_pooler_is_as_good_as_none(database: Any, tmp_path: Path) -> None:
    """Behind it a service's settings hold in each transaction, and its locks keep others out."""
    async with pgbouncer(tmp_path / "pooler", database.dsn("projector"), "session") as pooled:
        url, own = SecretStr(pooled), {"statement_timeout": "7s"}
        one, other = Database(url, "one", server_settings=own), Database(url, "other")
        conn = await one.connection()
        for _ in range(2):
            assert await settings_of(conn) == _KEPT | {"statement_timeout": "7000"}
        assert await conn.fetchval(_LOCK)
        assert not await (await other.connection()).fetchval(_LOCK)
        await one.close()
        await other.close()


async def test_a_session_is_known_by_what_it_does(database: Any) -> None:
    """Where another process answers than was named, a session is taken if it brings notifications."""
    dsn = database.dsn("projector")
    async with other_process(dsn, notifies=True) as pooled:
        kept = Database(SecretStr(pooled), "test")
        assert await settings_of(await kept.connection()) == _KEPT
        await kept.close()
    async with other_process(dsn, notifies=False) as pooled:
        with pytest.raises(SharedSession):
            await Database(SecretStr(pooled), "test").connection()


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_pooler_that_keeps_no_session_is_refused_however_busy_it_is(
    database: Any, tmp_path: Path, mode: str
) -> None:
    """Whichever sessions others take meanwhile, a service connects in none, and leaves none set."""
    dsn = database.dsn("projector")
    async with pgbouncer(tmp_path / "pooler", dsn, mode) as pooled, others(pooled):
        began = time.monotonic()
        with pytest.raises(SharedSession, match=r"pooler at 127\.0\.0\.1:.*pool_mode=session"):
            await Database(SecretStr(pooled), "test").connection()
        assert time.monotonic() - began < AT_ONCE
        direct, shared = await asyncpg.connect(dsn), await asyncpg.connect(pooled, statement_cache_size=0)
        assert await settings_of(shared) == await settings_of(direct)
        await direct.close()
        await shared.close()


async def test_who_writes_ends_at_once_behind_a_transaction_pooler(
    database: Any, kafka_server: Any, topic_prefix: str, tmp_path: Path
) -> None:
    """Command service, relay and projector end with 70 and one sentence, long before their retry budget."""
    servers = kafka_server.bootstrap_servers
    await ensure_topics(KafkaConnection(servers), ORDERS.topics(topic_prefix), partitions=1)
    for name, *arguments in (["command_service"], ["outbox_relay"], ["projector", "sales"]):
        async with pgbouncer(tmp_path / name, database.dsn(name), "transaction") as pooled:
            settings = {
                "database_url": pooled,
                "kafka_bootstrap_servers": servers,
                "topic_prefix": topic_prefix,
                "retry_budget": "600",
            }
            with ServiceProcess(tmp_path, name, *arguments, **settings) as service:
                assert await service.ended() == 70, service.log
        lines = [json.loads(line) for line in service.log.splitlines()]
        [refusal] = [line["reason"] for line in lines if line["event"].endswith(".refused")]
        assert "pool_mode=session" in refusal
        assert "Traceback" not in service.log


async def test_the_query_service_asks_through_a_transaction_pooler(database: Any, tmp_path: Path) -> None:
    """Several of them, over fewer sessions, have their own settings and tenant, and leave none behind."""
    dsn = database.dsn("query_service")

    async def question(conn: asyncpg.Connection) -> tuple[str, str, dict[str, str]]:
        tenant = await conn.fetchval("SELECT current_setting('tillstream.tenant')")
        read_only = await conn.fetchval("SHOW transaction_read_only")
        # Of a type that asyncpg has to ask for, beside.
        await conn.fetch("SELECT version, recorded_at FROM order_events WHERE tenant_id = $1", tenant)
        return tenant, read_only, await settings_of(conn)

    expected = {
        "TimeZone": "UTC",
        "idle_in_transaction_session_timeout": "60000",
        "jit": "off",
        "plan_cache_mode": "force_custom_plan",
        "statement_timeout": "30000",
    }
    tenants = [f"store-{number}'; --" for number in range(20)]
    async with (
        pgbouncer(tmp_path / "pooler", dsn, "transaction", size=2) as pooled,
        TenantDatabase.opened(SecretStr(pooled), 8, 30) as one,
        TenantDatabase.opened(SecretStr(pooled), 8, 30) as other,
    ):
        asked = [(each, tenant) for each in (one, other) for tenant in tenants]
        answers = await asyncio.gather(*(each.ask(tenant, question) for each, tenant in asked))
        assert answers == [(tenant, "on", expected) for _, tenant in asked]
        direct, shared = await asyncpg.connect(dsn), await asyncpg.connect(pooled, statement_cache_size=0)
        assert await settings_of(shared) == await settings_of(direct)
        assert await shared.fetchval(_PREPARED) == 0
        assert not await shared.fetchval("SELECT current_setting('tillstream.tenant', true)")
        await direct.close()
        await shared.close()
