"""What services make of a hot standby, and of an address that names several servers."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from commands import ORDERS
from eventstore import encode_headers, shard_of
from harness.processes import ServiceProcess
from harness.standby import PrimaryAndStandby, primary_and_standby
from harness.waiting import eventually
from harness.whole_topics import whole_topics
from local.servers import free_port
from messaging import KafkaConnection, ensure_topics
from runtime import Database, ReadOnlyServer
from runtime.database import CONNECT_TIMEOUT

_STANDBY = "SELECT pg_is_in_recovery()"
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
