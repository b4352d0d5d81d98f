"""The least of an HTTP client, for many at once."""

import asyncio
from typing import NamedTuple, Self


class Answer(NamedTuple):
    """What a request was answered with."""

    status: int
    body: bytes


class HttpConnection(asyncio.Protocol):
    """The least of an HTTP client: httpx would take more of the machine than the service does."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.WriteTransport | None = None

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect to a service on this machine."""
        made = cls()
        await asyncio.get_running_loop().create_connection(lambda: made, "127.0.0.1", port)
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
        if len(body) >= length:
            self._received = b""
            self._answer.set_result(Answer(int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc or EOFError("the service has closed the connection"))

    async def post(self, path: str, body: bytes) -> Answer:
        """Return the answer. Raises OSError and EOFError for a connection that is lost."""
        assert self._transport is not None
        if self._transport.is_closing():
            raise EOFError("the service has closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
