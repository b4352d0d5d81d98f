"""How long a command's send takes at most, and who fails together."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.errors import KafkaError, ProducerClosed

from messaging import KafkaConnection, Message, SharedProducer
from query_service.commands import NotSent, Sender

MESSAGE = Message("orders.commands", b"1", [], b"{}")
# Long enough for everything here but Kafka's own bounds of 15 seconds.
PATIENCE = 8.0


@pytest.fixture
async def silent_kafka() -> AsyncIterator[str]:
    """Give the address of what takes connections and never answers."""
    gone = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"{host}:{port}"
    gone.set()
    server.close()


async def test_all_who_wait_for_a_silent_kafka_fail_together(
    silent_kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is that of the whole send: who waits for the producer does not begin to wait anew for it."""
    monkeypatch.setattr("query_service.commands.sending.SEND_TIMEOUT", 0.2)
    sender = Sender(KafkaConnection(silent_kafka), "murmur2")
    async with asyncio.timeout(PATIENCE):
        ended = await asyncio.gather(*(sender.send(MESSAGE) for _ in range(20)), return_exceptions=True)
    assert {type(each) for each in ended} == {NotSent}


class Holding:
    """What a producer does with messages, instead of sending them: keys say what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[SharedProducer] = []
        self.given: list[bytes | None] = []
        self.gone: set[SharedProducer] = set()
        self.dropped = asyncio.Event()
        for name in ("start", "send", "drop"):
            monkeypatch.setattr(SharedProducer, name, self._in_place_of(name))
        monkeypatch.setattr(SharedProducer, "ended", property(lambda producer: producer in self.gone))

    def _in_place_of(self, name: str) -> Any:
        async def act(producer: SharedProducer, *arguments: Any) -> None:
            await getattr(self, name)(producer, *arguments)

        return act

    async def start(self, producer: SharedProducer) -> None:
        self.made.append(producer)

    async def send(self, producer: SharedProducer, message: Message) -> None:
        self.given.append(message.key)
        match message.key:
            case b"refused":
                raise KafkaError
            case b"goes through":
                producer.acknowledged_at = time.monotonic()
            case _ if producer is self.made[0]:
                await self.dropped.wait()
                raise ProducerClosed

    async def drop(self, producer: SharedProducer) -> None:
        self.gone.add(producer)
        self.dropped.set()


def message(key: str) -> Message:
    return MESSAGE._replace(key=key.encode())


async def test_a_send_that_fails_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a producer gives up, or holds for too long while others come through, leaves it in its place."""
    monkeypatch.setattr("query_service.commands.sending.SEND_TIMEOUT", 0.2)
    holding, sender = Holding(monkeypatch), Sender(KafkaConnection("127.0.0.1:1"), "murmur2")
    async with asyncio.timeout(PATIENCE):
        held = asyncio.create_task(sender.send(message("held")))
        for key in ("refused", "refused"):
            with pytest.raises(NotSent):
                await sender.send(message(key))
        await sender.send(message("goes through"))
        with pytest.raises(NotSent):
            await held
    assert (len(holding.made), holding.gone) == (1, set())


async def test_what_a_silent_producer_holds_goes_out_by_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing comes through a producer for as long as a send may take, it is replaced, for all."""
    holding, sender = Holding(monkeypatch), Sender(KafkaConnection("127.0.0.1:1"), "murmur2")
    async with asyncio.timeout(PATIENCE):
        monkeypatch.setattr("query_service.commands.sending.SEND_TIMEOUT", 0.2)
        too_long = asyncio.create_task(sender.send(message("held")))
        await asyncio.sleep(0)
        monkeypatch.setattr("query_service.commands.sending.SEND_TIMEOUT", PATIENCE)
        others = [asyncio.create_task(sender.send(message("held too"))) for _ in range(20)]
        with pytest.raises(NotSent):
            await too_long
        await asyncio.gather(*others)
    assert len(holding.made) == 2
    assert holding.given.count(b"held too") == 40
