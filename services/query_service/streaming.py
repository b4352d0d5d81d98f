"""Answers that are sent bit by bit."""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import ExitStack
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class HeldStream(StreamingResponse):
    """A stream that holds something, such as its place among the tenant's streams, until it has ended.

    It lets go also where the client is gone before the first bit is asked for.
    """

    def __init__(self, content: AsyncIterable[bytes], held: ExitStack, **options: Any) -> None:  # noqa: ANN401 - those of StreamingResponse
        super().__init__(content, **options)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        with self._held:
            await super().__call__(scope, receive, send)
