from __future__ import annotations

import typer

from till.errors import TillError


def kafka(context: typer.Context, tool: str) -> None:
    """Not there yet."""
    raise TillError(f"`till kafka {tool}` is not there yet ({context.args}).", "Wait for it.")
