"""All of a list in one answer, sent bit by bit; as CSV (RFC 4180) that a spreadsheet takes for text."""

import csv
from collections.abc import AsyncIterable, Iterable
from contextlib import ExitStack
from datetime import datetime
from io import StringIO
from typing import Any

from pydantic_core import to_json
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

# What makes a spreadsheet take a cell for a formula (OWASP, CSV Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


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


def csv_lines(rows: Iterable[Iterable[object]]) -> bytes:
    """Return the rows as UTF-8; text that a spreadsheet would compute gets an apostrophe before it."""
    lines = StringIO()
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerows([_cell(value) for value in row] for row in rows)
    return lines.getvalue().encode()


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return f"'{value}" if value.startswith(_FORMULA) else value
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case dict() | list():
            return to_json(value).decode()
        case _:
            return str(value)
