from __future__ import annotations

from till.errors import TillError
from till.output import Output, OutputOption


def down(output: OutputOption = Output.table) -> None:
    """Not there yet."""
    raise TillError(f"`till down` is not there yet ({output}).", "Wait for it.")
