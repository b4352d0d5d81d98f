"""What a pooler shows of itself, where there is none: sessions under the id of another process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

from harness.tls_front import pass_on

# Of PostgreSQL's protocol: what tells the server's process, and a notification.
_KEY, _NOTIFICATION = b"K", b"A"


@asynccontextmanager
async def other_process(dsn: str, *, notifies: bool) -> AsyncIterator[str]:
    """Give the address of the same database through a proxy that names another process than the server does.

    With `notifies` false it brings no notifications, as a session that is not the client's while it waits.
    """
    parts = urlsplit(dsn)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection(parts.hostname, parts.port)
        with suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.gather(
                pass_on(reader, behind_writer), _pass_messages(behind_reader, writer, notifies=notifies)
            )

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        user, _, _ = parts.netloc.rpartition("@")
        port = server.sockets[0].getsockname()[1]
        # Without TLS each byte from the server belongs to a message.
        yield urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{port}", query="sslmode=disable"))
        server.close()


async def _pass_messages(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, notifies: bool
) -> None:
    try:
        while True:
            kind, length = await reader.readexactly(1), await reader.readexactly(4)
            body = await reader.readexactly(int.from_bytes(length) - len(length))
            if kind == _KEY:
                body = bytes(255 - byte for byte in body[:4]) + body[4:]
            if kind != _NOTIFICATION or notifies:
                writer.write(kind + length + body)
                await writer.drain()
    finally:
        writer.close()
