"""`till dead-letters held` and `release`: what the dead-letter limit holds back, and letting it go on."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from operations.dead_letters import HeldBack, list_held_back, release
from runtime.printable import printable
from till.connecting import kafka_of, operator_connection, operator_name, query_connection, run_over
from till.errors import TillError
from till.output import Output, OutputOption, notices, print_rows
from till.settings import till_settings

_COLUMNS = ("hold", "since", "held", "from_offset", "set_aside", "why", "state")


def held(output: OutputOption = Output.table) -> None:
    """List what the dead-letter limit holds back: partitions, and sources that are set aside (UTC)."""
    found = run_over(query_connection, list_held_back)
    rows = [
        {
            "hold": each.hold.id,
            "since": each.hold.held_since,
            "held": each.hold.what,
            "topic": each.hold.topic,
            "partition": each.hold.partition,
            "source": each.hold.source,
            "from_offset": each.hold.first_offset,
            "set_aside": each.records,
            "why": each.hold.reason,
            "released_at": each.released_at,
            "released_by": each.released_by,
            "state": "held" if each.released_at is None else "released, being judged anew",
        }
        for each in found
    ]
    if output is Output.table:
        rows = [
            {**row, "held": printable(str(row["held"])), "why": printable(str(row["why"]))} for row in rows
        ]
    print_rows(rows, _COLUMNS, output, title="Held back")
    if not rows:
        notices.print("Nothing is held back.", highlight=False)


def let_go_on(
    holds: Annotated[list[int] | None, typer.Argument(metavar="HOLD...", help="What is held back.")] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that is held back.")] = False,
    note: Annotated[str, typer.Option(help="Why, for the record.")] = "",
) -> None:
    """Let what is held back go on: what still names no command becomes a dead letter, however many."""
    if bool(holds) == everything:
        raise TillError(
            "Name what is to go on, or say --all.", "`till dead-letters held` gives what there is."
        )
    kafka, _ = kafka_of(till_settings())
    chosen = run_over(
        operator_connection,
        lambda conn: release(conn, kafka, holds or None, actor=operator_name(), note=note),
    )
    for each in chosen:
        told = f"{printable(each.hold.what)} goes on"
        if each.records:
            told += f"; {each.records:,} records of it are judged anew"
        notices.print(f"{told}.", highlight=False, markup=False, soft_wrap=True)


def held_back(found: Sequence[HeldBack]) -> Text:
    """Say what is held back, since when and why, and what lets it go on; a line each, none where none is."""
    lines = [
        f"{printable(hold.what)} is {'held back' if hold.source is None else 'set aside'} since"
        f" {hold.held_since:%Y-%m-%d %H:%M:%SZ}{f' ({each.records:,} records)' if each.records else ''}:"
        f" {printable(hold.reason)}. `till dead-letters release {hold.id}` lets it go on"
        for each in found
        if each.released_at is None
        for hold in [each.hold]
    ]
    return Text("\n".join(lines), style="bold red")
