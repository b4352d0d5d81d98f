"""What a server of ours makes of requests as they are written on the wire: long heads, offers to upgrade."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from runtime import serve_app
from runtime.http_protocol import LARGEST_HEAD

DEADLINE = 20.0


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


APP = Starlette(routes=[Route("/", echo, methods=["POST"])])


@pytest.mark.parametrize("piece", [b"a" * 4096, b"a: b\r\n" * 1000], ids=["one header", "many headers"])
async def test_a_head_without_an_end_ends_the_connection(piece: bytes) -> None:
    """Past the bound no more of a head is taken in: 431, and the connection is closed."""
    async with serve_app(APP, "127.0.0.1", 0) as port, asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: here\r\nX: ")
        sent = 0
        while not reader.at_eof() and sent < 100 * LARGEST_HEAD:
            try:
                writer.write(piece)
                await writer.drain()
            except ConnectionError:
                break
            sent += len(piece)
            if answer := await _at_once(reader):
                assert answer.startswith(b"HTTP/1.1 431 ")
                break
        assert sent < 2 * LARGEST_HEAD + 16 * len(piece)
        writer.close()


async def _at_once(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(0.01):
            return await reader.read(100)
    except TimeoutError:
        return b""


async def test_an_offer_to_upgrade_is_declined_and_the_request_answered() -> None:
    """Java's client offers HTTP/2 with its first request: its body is read, and the connection goes on."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    async with serve_app(APP, "127.0.0.1", 0) as port, asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for extra in (offer, b"", offer):
            writer.write(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n" + extra + b"\r\nhello")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            assert await reader.readexactly(5) == b"hello"
        writer.close()
