"""How every verb answers: a table for a person, or JSON for a program, chosen by `-o`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic_core import to_json
from rich.console import Console
from rich.markup import escape
from rich.table import Table

# Answers go to standard output; progress and errors to standard error, so that `-o json | jq` works.
answers = Console()
notices = Console(stderr=True)

_LINE_COLUMNS = ("line_id", "product_id", "name", "quantity", "unit_price", "gross", "discount", "net")


class Output(StrEnum):
    """The forms an answer can take."""

    table = "table"
    json = "json"


OutputOption = Annotated[
    Output, typer.Option("-o", "--output", help="A table for people or JSON for programs.")
]


def print_json(value: object) -> None:
    """Print `value` (anything pydantic can write: dates, Decimals, UUIDs …) as indented JSON."""
    typer.echo(to_json(value, indent=2))


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: Output, title: str) -> None:
    """Print rows as a JSON array of objects, or as a table of the named columns."""
    if output is Output.json:
        print_json(rows)
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        is_number = bool(rows) and isinstance(rows[0][column], int | float | Decimal)
        # Nothing is cut off: what doesn't fit goes on in the next line.
        table.add_column(column.replace("_", " "), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    answers.print(table)


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
    fields = Table(show_header=False, title=f"Order {order['order_id']}", title_justify="left")
    for name, value in order.items():
        if name not in {"order_id", "lines"}:
            fields.add_row(name.replace("_", " "), _cell(value))
    answers.print(fields)
    print_rows(order["lines"], _LINE_COLUMNS, output, title="Lines")
