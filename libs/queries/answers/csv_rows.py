"""Rows as lines of CSV (RFC 4180) that a spreadsheet takes for text, whatever was typed into them."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import datetime
from io import StringIO

from pydantic_core import to_json

# What makes a spreadsheet take a cell for a formula (OWASP, CSV Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


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
