"""PostgreSQL is lost under load and its standby promoted: with all that was written, or without the last."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from commands import ORDERS
from faults.town import SERVICES, Town, beside
from harness.guarantees import DEADLINE
from harness.installation import Installation, delete_topics
from harness.plain_client import plain_client
from harness.servers import Servers
from harness.standby import PrimaryAndStandby, primary_and_standby
from harness.waiting import eventually
from harness.whole_topics import whole_topics
from messaging import KafkaConnection, ensure_topics
from till.app import app

_FRESHNESS = "SELECT read_model, era, watermark FROM read_models.freshness ORDER BY read_model"
_OUTCOMES = "SELECT count(*) FROM command_outcomes"


class Pair(Town):
    """A town whose services know both servers by one address."""

    def __init__(self, installation: Installation, servers: PrimaryAndStandby) -> None:
        super().__init__(installation)
        self.servers = servers

    async def eras(self) -> dict[str, str]:
        """Give each read model's era, as an analyst is told."""
        return {name: era for name, era, _ in await self.admin.fetch(_FRESHNESS)}

    async def lose_the_primary(self) -> None:
        """End the primary without a chance to send on what it has written."""
        pid = self.servers.primary.pid
        assert pid is not None
        await self.admin.close()
        os.kill(pid, signal.SIGQUIT)
        await eventually(lambda: _is_silent(self.servers))

    async def promote(self) -> None:
        """Promote the standby, and go on with it."""
        self.admin = await asyncpg.connect(self.servers.dsn("postgres", self.servers.standby.port))
        await self.admin.execute("SELECT pg_promote()")


async def _is_silent(servers: PrimaryAndStandby) -> bool:
    return not await asyncio.to_thread(servers.primary.is_ready)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[PrimaryAndStandby]:
    """Give a primary and its standby."""
    with primary_and_standby(tmp_path / "pair") as made:
        yield made


@pytest.fixture
async def pair(servers: PrimaryAndStandby, session_servers: Servers, tmp_path: Path) -> AsyncIterator[Pair]:
    """Give an installation whose services point at both servers."""
    kafka, prefix = session_servers.kafka(), f"promoted{secrets.token_hex(6)}."
    topics = ORDERS.topics(prefix)
    await ensure_topics(KafkaConnection(kafka), topics)

    def address(role: str) -> str:
        return servers.dsn(role, servers.primary.port, servers.standby.port, target="read-write")

    with ExitStack() as stack:
        town = Pair(Installation(kafka, prefix, address, tmp_path, stack), servers)
        town.admin = await asyncpg.connect(address("postgres"))
        async with plain_client(kafka, prefix) as town.client, whole_topics(kafka, prefix) as town.topics:
            yield town
        await town.admin.close()
    await delete_topics(kafka, topics)


@asynccontextmanager
async def kept_busy(town: Pair) -> AsyncIterator[None]:
    """Keep sending while the body runs, whatever becomes of what is sent: a few orders at a time."""

    async def load(enough: asyncio.Event) -> None:
        while not enough.is_set():
            await town.load(orders=4)
            await asyncio.sleep(0.5)

    async with beside(load):
        yield


async def decided(conn: asyncpg.Connection, more: int) -> None:
    """Wait until so many more commands are decided."""
    due = await conn.fetchval(_OUTCOMES) + more
    await eventually(
        lambda: conn.fetchval("SELECT count(*) >= $1 FROM command_outcomes", due), deadline=DEADLINE
    )


def assert_none_ended(town: Pair) -> None:
    for name in SERVICES:
        assert town.running[name].process.poll() is None, town.running[name].log[-4000:]


def till(town: Pair, monkeypatch: pytest.MonkeyPatch, *verb: str) -> Any:
    """Run a verb with the services' own address."""
    with monkeypatch.context() as patch:
        for setting, value in {
            "ADMIN_DATABASE_URL": town.installation.database_url("postgres"),
            "OPERATOR_DATABASE_URL": town.installation.database_url("operator"),
            "KAFKA_BOOTSTRAP_SERVERS": town.installation.bootstrap_servers,
            "TOPIC_PREFIX": town.installation.prefix,
        }.items():
            patch.setenv(f"TILLSTREAM_{setting}", value)
        result = CliRunner().invoke(app, [*verb])
    assert result.exit_code == 0, (result.output, result.exception)
    return result


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_standby_that_has_all_takes_over(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the primary acknowledged the standby has: services go on by themselves, and no process ends.

    A read model's numbers are of another era from then on.
    """
    await pair.admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    await pair.admin.execute("SELECT pg_reload_conf()")
    await pair.run()
    async with kept_busy(pair):
        await decided(pair.admin, 60)
        before = await pair.eras()
        await pair.lose_the_primary()
        await pair.promote()
        after = await pair.eras()
        await decided(pair.admin, 100)
    assert before.keys() == after.keys()
    assert all(after[name] != era for name, era in before.items())
    await pair.assert_guarantees()
    assert_none_ended(pair)
    assert await pair.eras() == after
    await asyncio.to_thread(till, pair, monkeypatch, "verify", "--topic")


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_standby_that_lacks_the_last_is_a_restored_database(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody writes until `till recover` has brought back what Kafka holds; then everything is as sent."""
    await pair.run()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(kept_busy(pair))
        await decided(pair.admin, 60)
        await pair.servers.replayed()
        standby = await asyncpg.connect(pair.servers.dsn("postgres", pair.servers.standby.port))
        stack.push_async_callback(standby.close)
        # Nothing reaches the standby any more.
        await standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
        await standby.execute("SELECT pg_reload_conf()")
        await eventually(lambda: standby.fetchval("SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)"))
        await decided(pair.admin, 60)
        before = await pair.eras()
        lost = await pair.admin.fetchval(_OUTCOMES) - await standby.fetchval(_OUTCOMES)
        assert lost >= 60
        await pair.lose_the_primary()
        await pair.promote()
        kept = await pair.admin.fetchval(_OUTCOMES)
        refused = [pair.running[name] for name in ("command_service", "outbox_relay")]
        for service in refused:
            await service.ended(DEADLINE)
            assert "the database seems to have been restored to an earlier state" in service.log
        assert await pair.admin.fetchval(_OUTCOMES) == kept
    promoted = await pair.eras()
    assert all(promoted[name] != era for name, era in before.items())
    for name in SERVICES:
        if pair.running[name].process.poll() is None:
            await pair.stop(name)
    await asyncio.to_thread(till, pair, monkeypatch, "recover", "--execute")
    recovered = await pair.eras()
    assert all(recovered[name] != era for name, era in promoted.items())
    await pair.run()
    await pair.assert_guarantees()
    assert_none_ended(pair)
    await asyncio.to_thread(till, pair, monkeypatch, "verify", "--topic")
