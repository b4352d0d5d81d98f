"""How every verb answers: a table for a person, or JSON for a program, chosen by `-o`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic_core import to_json
from rich.console import Console
from rich.table import Table

# Answers go to standard output; progress and errors to standard error, so that `-o json | jq` works.
answers = Console()
notices = Console(stderr=True)


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
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    answers.print(table)
