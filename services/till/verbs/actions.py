"""`till actions`: what operators did, and what came of it."""

import json
from typing import Annotated, Any

import typer

from operations import read_actions
from runtime.printable import printable
from till.connecting import query_connection, run_over
from till.output import Output, OutputOption, notices, print_rows
from till.times import parse_time

_COLUMNS = ("id", "started_at", "actor", "action", "arguments", "result", "finished_at", "details")
_NO_RESULT = "under way or broken off"


def actions(
    *,
    action: Annotated[
        str | None, typer.Option(help="Of this kind, such as pause, or dead-letters for all of its verbs.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Begun at or after a time such as 2017-01-01T12:00:00Z; UTC unless it says."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="This many at most, the newest.")] = 50,
    output: OutputOption = Output.table,
) -> None:
    """List what operators did by till: who, when, what, and what came of it, newest first (UTC)."""
    begun = None if since is None else parse_time(since)
    rows = run_over(query_connection, lambda conn: read_actions(conn, action, begun, limit + 1))
    more, rows = len(rows) > limit, rows[:limit]
    if output is not Output.json:
        rows = [
            {
                **row,
                "actor": printable(row["actor"]),
                "action": printable(row["action"]),
                "arguments": _told(row["arguments"]),
                "result": row["result"] or _NO_RESULT,
                "details": _told(row["details"]),
            }
            for row in rows
        ]
    print_rows(rows, _COLUMNS, output, title="Actions")
    if more:
        notices.print(f"There are more than these {limit}: --limit gives more.", highlight=False)


def _told(values: dict[str, Any] | None) -> str:
    """Return names and values as a person reads them."""
    # With blanks, at which a narrow column can break it.
    return ", ".join(
        f"{printable(name)} {printable(value if isinstance(value, str) else json.dumps(value))}"
        for name, value in (values or {}).items()
        if value not in ("", None)
    )
