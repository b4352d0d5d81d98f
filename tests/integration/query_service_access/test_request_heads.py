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


HEAD = b"POST / HTTP/1.1\r\nHost: here\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("piece", [b"a" * 4096, b"a: b\r\n" * 1000], ids=["one header", "many headers"])
@pytest.mark.parametrize("begun", [HEAD + b"X: ", CHUNKED + b"0\r\nX: "], ids=["before a body", "behind it"])
async def test_headers_without_an_end_end_the_connection(begun: bytes, piece: bytes) -> None:
    """Past the bound no more headers are taken in: 431, and the connection is closed."""
    async with serve_app(APP, "127.0.0.1", 0) as port, asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
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


async def test_a_long_body_in_chunks_is_read_whole() -> None:
    """A chunk may be longer than what is bounded, and what comes behind the last one changes nothing."""
    chunks = [b"x" * size for size in (1, 3 * LARGEST_HEAD, 10)]
    async with serve_app(APP, "127.0.0.1", 0) as port, asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(CHUNKED)
        for chunk in chunks:
            writer.write(b"%x\r\n" % len(chunk))
            await writer.drain()
            writer.write(chunk + b"\r\n")
        writer.write(b"0\r\nX-Late: no header\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(sum(map(len, chunks))) == b"".join(chunks)
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
