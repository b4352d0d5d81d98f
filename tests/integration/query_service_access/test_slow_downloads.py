"""Readers of a long answer: slow ones are served to the end, those that take nothing are let go."""

import asyncio
import socket
from collections.abc import AsyncIterator

import psutil
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from harness.waiting import eventually
from runtime import serve_app, stuck_peers

CHUNK, CHUNKS = b"x" * 65_536, 120
pytestmark = pytest.mark.skipif(
    not hasattr(socket, "TCP_INFO"), reason="only Linux tells what a peer has taken"
)


class LongAnswer:
    """An app with one long answer."""

    def __init__(self) -> None:
        self.app = Starlette(routes=[Route("/", self.answer)])

    async def answer(self, _request: Request) -> StreamingResponse:
        return StreamingResponse(self.chunks())

    async def chunks(self) -> AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            yield CHUNK


async def ask(port: int) -> socket.socket:
    """Ask for the long answer by a connection with a small buffer."""
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    asking.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(asking, ("127.0.0.1", port))
    await loop.sock_sendall(asking, b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    return asking


async def test_who_reads_on_is_served_however_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is slower than the bound as a whole, but takes something within it, gets everything."""
    monkeypatch.setattr(stuck_peers, "STUCK_AFTER", 0.6)
    long, began = LongAnswer(), asyncio.get_running_loop().time()
    async with serve_app(long.app, "127.0.0.1", 0) as port:
        loop, taken = asyncio.get_running_loop(), 0
        with await ask(port) as reader:
            while data := await loop.sock_recv(reader, 400_000):
                taken += len(data)
                # A reader's own pace: what is proved is that it may be slow.
                await asyncio.sleep(0.05)
    assert taken > CHUNKS * len(CHUNK)
    assert loop.time() - began > 2 * stuck_peers.STUCK_AFTER, "nothing was proved: it was quick"


async def test_who_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes nothing for the bound loses its connection, though it never closes it."""
    monkeypatch.setattr(stuck_peers, "STUCK_AFTER", 0.6)
    async with serve_app(LongAnswer().app, "127.0.0.1", 0) as port:
        with await ask(port) as stuck:
            ours = stuck.getsockname()

            async def held() -> bool:
                connections = psutil.Process().net_connections("tcp")
                return any(each.raddr == ours and each.status != "CLOSE" for each in connections)

            async def let_go() -> bool:
                return not await held()

            await eventually(held)
            await eventually(let_go)
