"""How long a command's send takes at most, and who fails together."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from messaging import KafkaConnection, Message, Producer
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


async def test_sends_fail_with_the_producer_that_they_were_given_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a failed send has the producer dropped, the others that it had under way are told at once."""
    under_way = asyncio.Semaphore(0)
    failing = asyncio.Event()

    async def nothing(_producer: Producer) -> None:
        pass

    async def send(_producer: Producer, messages: Sequence[Message]) -> None:
        under_way.release()
        if messages[0].key == b"fails":
            await failing.wait()
            raise TimeoutError
        await asyncio.Event().wait()

    monkeypatch.setattr(Producer, "start", nothing)
    monkeypatch.setattr(Producer, "drop", nothing)
    monkeypatch.setattr(Producer, "send", send)
    sender = Sender(KafkaConnection("127.0.0.1:1"), "murmur2")
    messages = [MESSAGE, MESSAGE._replace(key=b"fails"), MESSAGE]
    async with asyncio.timeout(PATIENCE):
        sending = asyncio.gather(*map(sender.send, messages), return_exceptions=True)
        for _ in messages:
            await under_way.acquire()
        failing.set()
        ended = await sending
    assert [type(each) for each in ended] == [NotSent] * 3
    assert sender._producer is None
