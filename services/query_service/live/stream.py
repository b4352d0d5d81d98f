"""Events as server-sent events (the `text/event-stream` of the HTML standard), to one reader."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing, suppress

import structlog
from aiokafka.errors import KafkaError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from query_service.live.feed import SLOW, Shown
from query_service.live.following import LetGo

log = structlog.get_logger(__name__)

# A reader that takes nothing for so long holds a place that others may need.
SEND_TIMEOUT = 20.0
LAST_WORDS_TIMEOUT = 1.0
# How soon a reader comes back, in milliseconds.
RETRY_MS = 2000


class _TooSlow(LetGo):
    """The connection takes no more."""


class EventStream(Response):
    """Sends events until the reader goes, the service stops, or the reader's time is up.

    `held` is let go at the end. `expires_at` is in seconds of the epoch.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[Shown, None],
        *,
        held: ExitStack,
        stopping: asyncio.Event,
        expires_at: float | None,
    ) -> None:
        # Proxies that gather an answer before they pass it on are asked not to.
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._held = held
        self._stopping = stopping
        self._expires_at = expires_at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """Send the stream."""
        with self._held:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            why = await self._send_until_over(receive, send)
            if why is not None:
                # Who takes nothing any more does not take last words either.
                with suppress(_TooSlow):
                    await _say(send, f": closed: {why}\n\n", LAST_WORDS_TIMEOUT, more=False)

    async def _send_until_over(self, receive: Receive, send: Send) -> str | None:
        """Send events, and return why they end; None where nobody listens any more."""
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_left(receive))
        stopping = asyncio.create_task(self._stopping.wait())
        tasks: set[asyncio.Task[object]] = {sending, leaving, stopping}
        seconds = None if self._expires_at is None else max(0.0, self._expires_at - time.time())
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over = {task for task in tasks if task.done()}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if leaving in over:
            return None
        if sending in over:
            return _why(sending)
        return "the service stops" if stopping in over else "the token has expired"

    async def _send(self, send: Send) -> None:
        await _say(send, f"retry: {RETRY_MS}\n\n", SEND_TIMEOUT)
        async with aclosing(self._events) as events:
            async for place, event in events:
                if event is None:
                    # An id without data is kept by readers, and shown to nobody.
                    block = f": still here\nid: {place}\n\n"
                else:
                    block = f"id: {place}\ndata: {event.decode()}\n\n"
                await _say(send, block, SEND_TIMEOUT)


async def _say(send: Send, text: str, timeout: float, *, more: bool = True) -> None:  # noqa: ASYNC109 - see below
    try:
        # The server takes what it has room for, and then waits for the reader.
        async with asyncio.timeout(timeout):
            await send({"type": "http.response.body", "body": text.encode(), "more_body": more})
    except TimeoutError:
        raise _TooSlow("too slow") from None


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _why(sending: asyncio.Task[None]) -> str | None:
    # Nobody of ours has cancelled what ended by itself: that came out of aiokafka.
    error = KafkaError("cancelled") if sending.cancelled() else sending.exception()
    match error:
        case _TooSlow():
            SLOW.inc()
            log.info("live.reader_took_nothing", seconds=SEND_TIMEOUT)
            return None
        case LetGo():
            return str(error)
        case KafkaError() | OSError() | TimeoutError():
            log.warning("live.catching_up_failed", error=repr(error))
            return "Kafka does not answer"
    log.error("live.stream_failed", exc_info=error)
    return "something is wrong here"
