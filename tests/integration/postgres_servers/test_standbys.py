"""What services make of a hot standby, and of an address that names several servers."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from commands import ORDERS
from eventstore import StreamKey, encode_headers, shard_of
from harness.processes import ServiceProcess
from harness.standby import PrimaryAndStandby, primary_and_standby
from harness.waiting import eventually
from harness.whole_topics import whole_topics
from integration.query_service.conftest import Clients, Issuer
from integration.query_service.shop import APPLE, Shop, sale
from local.servers import free_port
from messaging import KafkaConnection, ensure_topics
from query_service.database import TenantDatabase
from query_service.problems import Problem
from runtime import Database, ReadOnlyServer
from runtime.database import CONNECT_TIMEOUT

_STANDBY = "SELECT pg_is_in_recovery()"
_SLOW = "SELECT count(*), pg_sleep(60) FROM order_snapshots"
_SLOW_ONE = "SELECT true FROM pg_stat_activity WHERE query = $1 AND backend_xmin IS NOT NULL"
_OUTBOX = "INSERT INTO outbox (topic, key, headers, value, shard) VALUES ($1, $2, $3, $2, $4)"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrimaryAndStandby]:
    """Give a primary and its standby, which the last test promotes."""
    with primary_and_standby(tmp_path_factory.mktemp("pair")) as made:
        yield made


@pytest.fixture
async def standby(pair: PrimaryAndStandby) -> AsyncIterator[asyncpg.Connection]:
    """Give a superuser's connection to the standby."""
    conn = await asyncpg.connect(pair.dsn("postgres", pair.standby.port))
    yield conn
    await conn.close()


@pytest.fixture
async def primary(pair: PrimaryAndStandby) -> AsyncIterator[asyncpg.Connection]:
    """Give a superuser's connection to the primary."""
    conn = await asyncpg.connect(pair.database.dsn())
    yield conn
    await conn.close()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Give a port that takes connections and never answers, as a host that is lost does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
async def kafka_settings(kafka_server: Any, topic_prefix: str) -> dict[str, Any]:
    """Give what services need to know of Kafka, which has their topics."""
    servers = kafka_server.bootstrap_servers
    await ensure_topics(KafkaConnection(servers), ORDERS.topics(topic_prefix), partitions=1)
    return {"kafka_bootstrap_servers": servers, "topic_prefix": topic_prefix}


@pytest.mark.parametrize(
    ("target", "asks_standby"), [("any", True), ("read-write", False), ("prefer-standby", True)]
)
async def test_one_address_serves_all(pair: PrimaryAndStandby, target: str, asks_standby: bool) -> None:
    """Of several servers, one of them down, who writes finds the primary, and who asks what is wanted."""
    ports = (free_port(), pair.standby.port, pair.primary.port)
    database = Database(SecretStr(pair.dsn("projector", *ports, target=target)), "test")
    assert not await (await database.connection()).fetchval(_STANDBY)
    await database.close()
    asked = SecretStr(pair.dsn("query_service", *ports, target=target))
    async with TenantDatabase.opened(asked, 1, 30) as pool:
        assert await pool.ask("store-1", lambda conn: conn.fetchval(_STANDBY)) == asks_standby


async def test_a_lost_host_is_waited_for_once(pair: PrimaryAndStandby, silent_port: int) -> None:
    """A host that swallows what it is sent takes its share of the time, and is asked last from then on."""
    url = pair.dsn("projector", silent_port, pair.primary.port, target="read-write")
    database = Database(SecretStr(url), "test")
    await database.connection()
    database.discard()
    began = time.monotonic()
    await database.connection()
    assert time.monotonic() - began < CONNECT_TIMEOUT / 2
    await database.close()


async def test_without_a_server_that_can_be_written_the_reason_is_told(
    pair: PrimaryAndStandby, primary: asyncpg.Connection
) -> None:
    """It is the standby's, and not the last host's that refused; a read-only primary is none either."""
    database = Database(SecretStr(pair.dsn("projector", pair.standby.port, free_port())), "test")
    with pytest.raises(ReadOnlyServer, match="is a standby and can't be written"):
        await database.connection()
    assert "is a standby" in (database.problem() or "")
    await primary.execute("ALTER ROLE tillstream_projector SET default_transaction_read_only = on")
    database = Database(SecretStr(pair.dsn("projector", pair.primary.port)), "test")
    with pytest.raises(ReadOnlyServer, match="default_transaction_read_only=on and can't be written"):
        await database.connection()
    await primary.execute("ALTER ROLE tillstream_projector RESET default_transaction_read_only")
    await database.connection()
    assert database.problem() is None
    await database.close()


async def test_the_query_service_tells_a_standbys_lag(
    pair: PrimaryAndStandby, standby: asyncpg.Connection
) -> None:
    """On a standby it answers as of what was replayed, and tells how many records that is behind."""
    shop, key = Shop(pair.database), StreamKey("store-1", uuid4())
    *first, confirmation = sale(APPLE)
    await shop.send(key, *first)
    await shop.catch_up()
    await pair.replayed()
    await standby.execute("SELECT pg_wal_replay_pause()")
    await eventually(lambda: standby.fetchval("SELECT pg_get_wal_replay_pause_state() = 'paused'"))
    await shop.send(key, confirmation)
    await shop.catch_up()
    async with AsyncExitStack() as stack:
        clients = Clients(pair.database, Issuer(), stack)
        url = pair.dsn("query_service", pair.standby.port)
        client = await clients(database_url=url)
        freshness = (await clients.app(database_url=url)).state.service.freshness
        freshness._ends = lambda: {each.partition: len(records) for each, records in shop.log.records.items()}

        async def told() -> tuple[str, str]:
            await freshness.look()
            answer = await client.get(f"/v1/orders/{key.aggregate_id}")
            return answer.json()["status"], answer.headers["tillstream-records-behind"]

        assert await told() == ("open", "1")
        await standby.execute("SELECT pg_wal_replay_resume()")
        await pair.replayed()
        assert await told() == ("confirmed", "0")
        watermark = (await client.get("/v1/orders")).json()["watermark"]
        listed = await client.get("/v1/orders", params={"changed_since": watermark})
        assert listed.status_code == 200, listed.text
    await shop.close()


@pytest.mark.parametrize("times", [1, 2])
async def test_a_question_in_recoverys_way_is_asked_again(
    pair: PrimaryAndStandby, primary: asyncpg.Connection, standby: asyncpg.Connection, times: int
) -> None:
    """Cancelled once it is answered all the same; cancelled twice, the caller is told when to come back."""
    asked = 0

    async def question(conn: asyncpg.Connection) -> int:
        nonlocal asked
        asked += 1
        if asked <= times:
            await conn.fetch(_SLOW)
        return asked

    async with TenantDatabase.opened(SecretStr(pair.dsn("query_service", pair.standby.port)), 1, 120) as pool:
        asking = asyncio.create_task(pool.ask("store-1", question))
        for time_asked in range(1, times + 1):

            async def under_way(which: int = time_asked) -> bool:
                return asked == which and bool(await standby.fetchval(_SLOW_ONE, _SLOW))

            await eventually(under_way)
            # Where a view's table is replaced, a standby's readers of it have to go.
            async with primary.transaction():
                await primary.execute("LOCK TABLE order_snapshots IN ACCESS EXCLUSIVE MODE")
        if times == 1:
            assert await asking == 2
        else:
            with pytest.raises(Problem) as told:
                await asking
            assert (told.value.status, told.value.headers) == (503, {"Retry-After": "1"})


async def test_who_writes_waits_on_a_standby_until_it_is_promoted(
    pair: PrimaryAndStandby,
    primary: asyncpg.Connection,
    standby: asyncpg.Connection,
    kafka_settings: dict[str, Any],
    tmp_path: Path,
) -> None:
    """Relay, command service and projector say why in /readyz and outlive their budget; nothing is sent."""
    events, key = ORDERS.topics(kafka_settings["topic_prefix"]).events, b"order-1"
    await primary.execute("DELETE FROM outbox")
    await primary.execute(_OUTBOX, events, key, encode_headers([]), shard_of(key))
    await pair.replayed()
    async with AsyncExitStack() as stack:
        topic = await stack.enter_async_context(whole_topics(*kafka_settings.values()))
        services = [
            stack.enter_context(
                ServiceProcess(
                    tmp_path,
                    *name,
                    database_url=pair.dsn(name[0], pair.standby.port),
                    retry_budget="0.5",
                    **kafka_settings,
                )
            )
            for name in 2 * (["outbox_relay"], ["command_service"], ["projector", "sales"])
        ]
        for service in services:

            async def waits(service: ServiceProcess = service) -> bool:
                assert service.process.poll() is None, service.log
                status, told = await asyncio.to_thread(service.get, "/readyz")
                told_often = service.log.count("service.start_retried") > 4
                return told_often and status == 503 and "is a standby and can't be written" in told

            await eventually(waits)
        # A wait can be ended.
        assert await asyncio.gather(*(services.pop().stop() for _ in range(3))) == [0, 0, 0]
        assert sum((await topic.ends("orders.events")).values()) == 0
        await standby.execute("SELECT pg_promote()")
        await eventually(lambda: standby.fetchval("SELECT NOT EXISTS (SELECT FROM outbox)"))
        assert sum((await topic.ends("orders.events")).values()) == 1
        await asyncio.gather(*(service.ready() for service in services))
