"""Server-sent events to one reader, over ASGI."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from typing import Any

from query_service.live import EventStream, Shown


async def cancelled() -> AsyncGenerator[Shown, None]:
    """Give one place, and then end as aiokafka can."""
    yield Shown("here", None)
    raise asyncio.CancelledError


async def test_a_cancellation_that_is_not_ours_ends_the_stream_with_a_reason() -> None:
    """When aiokafka ends as if somebody had cancelled it, the reader is told, and nothing breaks."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    stream = EventStream(cancelled(), held=ExitStack(), stopping=asyncio.Event(), expires_at=None)
    await stream({}, asyncio.Event().wait, send)  # type: ignore[arg-type] # nothing is ever received
    assert sent[-1] == {
        "type": "http.response.body",
        "body": b": closed: Kafka does not answer\n\n",
        "more_body": False,
    }
