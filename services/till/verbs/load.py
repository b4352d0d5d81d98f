"""`till load`: the data set's baskets as commands on the commands topic."""

import time
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from demo import LoadedBaskets, read_baskets, send_baskets
from runtime import Settings
from till.connecting import kafka_of, run
from till.output import Output, OutputOption, notices, print_json, print_rows
from till.settings import till_settings


def load(
    orders: Annotated[
        int | None, typer.Option(min=1, help="How many baskets, from the first on; all 141,062 unless given.")
    ] = None,
    output: OutputOption = Output.table,
) -> None:
    """Send the data set's baskets as commands; sending them again changes nothing."""
    loaded = run(load_baskets(till_settings(), orders))
    summary = {
        "orders": len(loaded.commands_of),
        "commands": loaded.commands,
        "seconds": round(loaded.seconds, 3),
        "rate": round(loaded.rate, 1),
    }
    if output is Output.json:
        print_json(summary)
        return
    print_rows([summary], tuple(summary), output, title="Sent")
    notices.print("`till lag` shows what the read models have yet to apply.", highlight=False)


async def load_baskets(where: Settings, limit: int | None) -> LoadedBaskets:
    """Send the first `limit` baskets (default all), showing how far it is. Raises as `send_baskets` does."""
    with notices.status("Reading the data set …"):
        count, baskets = read_baskets(limit)
    loaded = LoadedBaskets({}, time.monotonic(), 0.0)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f} commands/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=notices,
    ) as progress:
        task = progress.add_task("Sending baskets", total=count, rate=0.0)
        kafka, topics = kafka_of(where)
        async for loaded in send_baskets(kafka, topics.commands, baskets, where.sending_partitioner):
            progress.update(task, completed=len(loaded.commands_of), rate=loaded.rate)
    return loaded
