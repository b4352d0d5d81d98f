"""How streams of events stay open, and what ends them, over HTTP from a real Kafka."""

import asyncio
import socket
import time
from contextlib import suppress
from typing import Any

import httpx
import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from harness.topics import widen_topic
from harness.waiting import eventually
from integration.query_service_live.following import LiveService
from messaging import KafkaConnection, Vector, ensure_topics
from query_service.live import feed, following, stream
from runtime import stuck_peers


async def test_a_quiet_stream_gives_signs_of_life(live: LiveService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without events a place comes now and then, also behind events that are not for this reader."""
    monkeypatch.setattr(following, "HEARTBEAT", 0.1)
    async with live.reader() as reader:
        await live.publish(1, tenant="store-2")

        async def passed() -> bool:
            block = await reader.block()
            assert not block.data
            return Vector.parse(block.place).offsets == (1, 0)

        await eventually(passed)


async def test_a_stream_ends_with_its_token(live: LiveService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens on with a token that has expired."""
    monkeypatch.setattr("query_service.routes.events.LEEWAY", 0.0)
    async with live.reader(claims={"exp": time.time() + 2}) as reader:
        assert await reader.last_words() == "closed: the token has expired"


async def test_streams_end_when_the_service_stops(live: LiveService) -> None:
    """A service that is to stop ends its streams, so that readers go elsewhere."""
    async with live.reader() as reader:
        live.service.stopping.set()
        assert await reader.last_words() == "closed: the service stops"


async def test_a_slow_reader_is_let_go_and_comes_back(
    live: LiveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that takes nothing is let go, harms no other, and misses nothing when it comes back."""
    monkeypatch.setattr(feed, "WAITING", 20)
    monkeypatch.setattr(stream, "SEND_TIMEOUT", 0.5)
    versions = list(range(1, 61))
    large = b'{"text":"%s"}' % (b"x" * 200_000)
    async with live.reader() as slow, live.reader() as quick:
        publishing = asyncio.create_task(live.publish(*versions, value=large))
        assert await quick.numbers(60) == versions
        await publishing

        async def let_go() -> bool:
            return len(live.service.following._feed._readers[b"store-1"]) == 1

        await eventually(let_go)
        seen: list[int] = []
        with suppress(httpx.RemoteProtocolError, EOFError):
            while len(seen) < len(versions):
                seen += await slow.numbers(1)
    assert seen == versions[: len(seen)]
    assert len(seen) < 60
    async with live.reader(after=slow.place) as again:
        assert await again.numbers(60 - len(seen)) == versions[len(seen) :]


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="only Linux tells what a peer has taken")
async def test_a_reader_that_takes_nothing_holds_no_connection(
    new_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stream ends, and its connection too, though nobody at the other end ever closes it."""
    monkeypatch.setattr(stream, "SEND_TIMEOUT", 0.3)
    monkeypatch.setattr(stuck_peers, "STUCK_AFTER", 1.0)
    live = await new_service()
    host, port = live.address.removeprefix("http://").split(":")
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(stuck, (host, int(port)))
        token = live.issuer.token()
        request = f"GET /v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
        await loop.sock_sendall(stuck, request.encode())

        def held() -> list[Any]:
            ours = stuck.getsockname()
            connections = psutil.Process().net_connections("tcp")
            return [each for each in connections if each.raddr == ours and each.status != "CLOSE"]

        async def reads() -> bool:
            return bool(live.service.following._feed._readers)

        async def let_go() -> bool:
            return not live.service.streams._open

        async def closed() -> bool:
            return not held()

        await eventually(reads)
        assert len(held()) == 1
        await live.publish(*range(1, 21), value=b'{"text":"%s"}' % (b"x" * 500_000))
        await eventually(let_go)
        await eventually(closed, deadline=30)


async def test_a_tenant_has_so_many_streams(new_service: Any) -> None:
    """One stream too many is refused, only to that tenant, and a place is free again when a reader goes."""
    live = await new_service(streams_per_tenant=1)
    async with live.reader(), live.client() as client:
        answer = await client.get("/v1/events")
        assert (answer.status_code, answer.json()["type"]) == (429, "/problems/too-many-streams")
        async with live.reader(tenant="store-2"):
            pass

    async def free() -> bool:
        return not live.service.streams._open

    await eventually(free)
    async with live.reader():
        pass


async def test_a_topic_made_anew_ends_the_streams(live: LiveService, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the topic is another one, readers are sent away, and their old places are known to be gone."""
    monkeypatch.setattr("messaging.tail.LOOK_INTERVAL", 0.0)
    async with live.reader() as reader:
        kafka = KafkaConnection(live.service.settings.kafka_bootstrap_servers)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        await admin.delete_topics([live.topics.events])
        await admin.close()
        await ensure_topics(kafka, live.topics, partitions=2)
        assert await reader.last_words() == "closed: the topic has changed"
    await live.ready()
    async with live.client() as client:
        answer = await client.get("/v1/events", params={"after": reader.place})
    assert (answer.status_code, answer.json()["type"]) == (410, "/problems/place-gone")


async def test_events_of_an_added_partition_come_too(
    live: LiveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition that is added is followed from its beginning, and readers can resume from before it."""
    monkeypatch.setattr("messaging.tail.LOOK_INTERVAL", 0.0)
    async with live.reader() as reader:
        before = reader.place
        await widen_topic(live.service.settings.kafka_bootstrap_servers, live.topics.events, 4)
        await live.publish(1, partition=3)
        assert await reader.numbers(1) == [1]
        assert Vector.parse(reader.place).offsets == (0, 0, 0, 1)
    async with live.reader(after=before) as reader:
        assert await reader.numbers(1) == [1]


async def test_the_ends_of_the_topic_are_known(live: LiveService) -> None:
    """The feed knows how far the topic reaches: read models' freshness goes by it."""
    await live.publish(1, 2, partition=1)

    async def known() -> bool:
        return live.service.following._feed.ends() == {0: 0, 1: 2}

    await eventually(known)
