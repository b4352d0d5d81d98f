"""Connections whose peer takes nothing any more: what is still to be sent would keep them for ever.

Linux's TCP_USER_TIMEOUT is no help: it also counts the time in which a slow reader's window is shut, and a
reader opens it again only when much of its buffer is free. So what the peer's own system has acknowledged is
looked at. (TCP_INFO's `tcpi_bytes_acked`, RFC 4898's tcpEStatsAppHCThruOctetsAcked; Linux has it.)
"""

import asyncio
import socket as sockets
import struct
import time
from collections.abc import Callable, Iterable

import structlog

log = structlog.get_logger(__name__)

STUCK_AFTER = 300.0
"""Seconds in which a peer must have taken something: who reads 250 bytes a second opens its window in it."""
LOOK_INTERVAL = 5.0

_INFO_BYTES, _BYTES_ACKED = 256, struct.Struct("=120xQ")


async def let_go_of_stuck_peers(transports: Callable[[], Iterable[asyncio.Transport]]) -> None:
    """Cut the connections whose peer took nothing of what waits for it for STUCK_AFTER seconds; never ends.

    `transports` gives the connections there are. Where the system doesn't tell, none is cut.
    """
    seen: dict[asyncio.Transport, tuple[int, float]] = {}
    while True:
        await asyncio.sleep(min(LOOK_INTERVAL, STUCK_AFTER / 4))
        now = time.monotonic()
        looked_at = {}
        for transport in transports():
            taken = _taken(transport)
            if taken is None or not transport.get_write_buffer_size():
                continue
            before, since = seen.get(transport, (taken, now))
            looked_at[transport] = (taken, since if taken == before else now)
            if now - looked_at[transport][1] > STUCK_AFTER:
                log.info("http.peer_took_nothing", seconds=STUCK_AFTER)
                transport.abort()
        seen = looked_at


def _taken(transport: asyncio.Transport) -> int | None:
    """Return how many bytes the peer's system has acknowledged; None where this system doesn't tell."""
    socket = transport.get_extra_info("socket")
    if socket is None or not hasattr(sockets, "TCP_INFO"):
        return None
    try:
        info = socket.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_INFO, _INFO_BYTES)
        (acked,) = _BYTES_ACKED.unpack_from(info)
    except (OSError, struct.error):
        return None
    return int(acked)
