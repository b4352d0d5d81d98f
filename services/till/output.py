"""How every verb answers: a table for a person, or JSON for a program, chosen by `-o`."""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic_core import to_json
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleDimensions
from rich.markup import escape
from rich.table import Table
from rich.text import Text


class _Console(Console):
    """A console as wide as its terminal or COLUMNS says when it prints, not when it was made."""

    @property  # type: ignore[misc]  # nobody sets it
    def size(self) -> ConsoleDimensions:
        now = Console().size
        if self.stderr or sys.stdout.isatty() or "COLUMNS" in os.environ:
            return now
        # A pipe or a file has no width: there a row should stay on one line.
        return now._replace(width=160)


# Answers go to standard output; progress and errors to standard error, so that `-o json | jq` works.
answers = _Console()
notices = _Console(stderr=True)

_NO_ASCII = re.compile(r"[^\n -~]")
_SHORTEST_WORD = 5
_BETWEEN_COLUMNS = 2
_LINE_COLUMNS = ("line_id", "product_id", "name", "quantity", "unit_price", "gross", "discount", "net")


def print_failure(message: str, advice: str) -> None:
    """Print what went wrong in a line, and what to do about it in another; what they quote is no markup."""
    notices.print(f"[bold red]till:[/] {escape(message)}", highlight=False, soft_wrap=True)
    notices.print(escape(advice), highlight=False, soft_wrap=True)


class Output(StrEnum):
    """The forms an answer can take."""

    table = "table"
    json = "json"


OutputOption = Annotated[
    Output, typer.Option("-o", "--output", help="A table for people or JSON for programs.")
]


def print_json(value: object) -> None:
    """Print `value` (anything pydantic can write: dates, Decimals, UUIDs …) as indented JSON.

    What could steer a terminal is escaped, which leaves the JSON as it was.
    """
    typer.echo(_NO_ASCII.sub(_harmless, to_json(value, indent=2).decode()))


def print_json_line(value: bytes) -> None:
    """Print JSON text that has no line ends as one line; what could steer a terminal is escaped."""
    typer.echo(_NO_ASCII.sub(_harmless, value.decode()))


def _harmless(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: Output, title: str) -> None:
    """Print rows as a JSON array of objects, or as a table of the named columns."""
    if output is Output.json:
        print_json(rows)
        return
    answers.print(Text(title, style="bold"), soft_wrap=True)
    answers.print(rows_table(rows, columns))


def rows_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    """Return rows as a table of the named columns, as wide as the terminal at most."""
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    headers = [column.replace("_", " ") for column in columns]
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for place, width in enumerate(_widths([headers, *cells])):
        is_number = bool(rows) and isinstance(rows[0][columns[place]], int | float | Decimal)
        # Nothing is cut off: what doesn't fit goes on in the next line.
        table.add_column(
            headers[place], justify="right" if is_number else "left", overflow="fold", width=width
        )
    for row in cells:
        table.add_row(*row)
    return table


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return column widths that fill the terminal at most, and keep words whole where it is wide enough.

    Rich's own way to shrink a table cuts words, or columns off, in the middle.
    """
    columns = list(zip(*rows, strict=True))
    wanted = [max(map(len, column)) for column in columns]
    words = [max((len(word) for cell in column for word in cell.split()), default=1) for column in columns]
    available = answers.width - _BETWEEN_COLUMNS * len(columns) + 1
    while sum(words) > available and max(words) > _SHORTEST_WORD:
        words[words.index(max(words))] -= 1
    spare = available - sum(words)
    widths = words
    while spare > 0 and widths != wanted:
        lacking = [want - width for want, width in zip(wanted, widths, strict=True)]
        widths[lacking.index(max(lacking))] += 1
        spare -= 1
    return widths


def _cell(value: object) -> str:
    """Write one value for a person; what is printed is data, never markup."""
    match value:
        case None:
            return ""
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        case float():
            return f"{value:,.1f}"
        case _:
            return escape(str(value))


def print_order(order: Mapping[str, Any], output: Output) -> None:
    """Print an order, which is a mapping of its fields with its `lines` as rows, as JSON or as two tables."""
    if output is Output.json:
        print_json(order)
        return
    answers.print(Text(f"Order {order['order_id']}", style="bold"), soft_wrap=True)
    fields = Table.grid(padding=(0, 2))
    for name, value in order.items():
        if name not in {"order_id", "lines"}:
            fields.add_row(f"  {name.replace('_', ' ')}", _cell(value))
    answers.print(fields)
    answers.print()
    print_rows(order["lines"], _LINE_COLUMNS, output, title="Lines")
