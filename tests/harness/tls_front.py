"""TLS before a PostgreSQL that was built without it, as the embedded one is."""

import asyncio
import ssl
import threading
from types import TracebackType
from typing import Self

from local.servers.security import Tls

# SSLRequest of PostgreSQL's protocol: its length, and the code in place of a protocol version.
_SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)


class TlsFront:
    """Answers as a server that demands TLS does, and passes the bytes within on to `port` of 127.0.0.1."""

    def __init__(self, tls: Tls, host: str, port: int) -> None:
        self._behind = (host, port)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(tls.certificate_file, tls.key_file)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await reader.readexactly(len(_SSL_REQUEST)) != _SSL_REQUEST:
                return
            writer.write(b"S")
            await writer.start_tls(self._context)
            behind_reader, behind_writer = await asyncio.open_connection(*self._behind)
            await asyncio.gather(pass_on(reader, behind_writer), pass_on(behind_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Write what is read until it ends."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
