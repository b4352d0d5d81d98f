"""`till demo`: real baskets through every service, and their figures checked against the data set."""

import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from demo import (
    NAMED_ORDERS,
    Comparison,
    LoadedBaskets,
    arriving,
    compare,
    count_events,
    expected_figures,
    find_example,
    read_figures,
    send_named_orders,
)
from local import Home, Supervisor, bring_up, take_down
from local.servers import kafka_jars
from till.connecting import kafka_of, query_connection, run
from till.errors import TillError
from till.output import Output, OutputOption, answers, notices, print_json
from till.settings import TillSettings, till_settings
from till.verbs.load import load_baskets
from till.verbs.up import stay as stay_up

_FOREIGN = ("TILLSTREAM_SERVERS", "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS", "TILLSTREAM_DATABASE_URL")
_SHOWN_DIFFERENCES = 10


@dataclass(frozen=True, slots=True)
class _Result:
    comparison: Comparison
    loaded: LoadedBaskets
    new_events: int
    seconds: float
    """From the first command to the last read model."""
    example: UUID


def demo(
    *,
    orders: Annotated[int, typer.Option(min=1, help="How many baskets.")] = 500,
    stay: Annotated[bool, typer.Option(help="Stay up until Ctrl-C, or stop everything at the end.")] = True,
    output: OutputOption = Output.table,
) -> None:
    """Run everything, load real baskets, and check every order and all sales against the data set.

    Exits with 1 on any difference.
    """
    if foreign := [name for name in _FOREIGN if os.environ.get(name, "embedded") != "embedded"]:
        raise TillError(
            f"`till demo` runs its own servers, but {' and '.join(foreign)} is set.",
            "Unset it, or use `till load` on your servers.",
        )
    home = Home()
    was_up = Supervisor.running(home) is not None
    stays = stay or was_up
    is_equal = False
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        kafka_jars()  # The first time: a progress bar of its own.
        with notices.status("Starting") as status:
            supervisor = bring_up(home, lambda step: status.update(f"{step} …"), with_us=True)
        result = run(_load_and_check(till_settings(), orders))
        is_equal = not result.comparison.differences
        _print(result, output, stays=stays)
        if stay and not was_up:
            notices.print("\nUp until Ctrl-C.")
            stay_up(supervisor)
    except KeyboardInterrupt:
        notices.print()
    finally:
        if not was_up:
            with notices.status("Stopping …"):
                take_down(home)
            notices.print("Everything is stopped; the data is kept in .tillstream.")
    if not is_equal:
        raise typer.Exit(1)


async def _load_and_check(where: TillSettings, orders: int) -> _Result:
    async with query_connection(where) as connection:
        before = await count_events(connection)
        kafka, topics = kafka_of(where)
        await send_named_orders(kafka, topics.commands, where.sending_partitioner)
        loaded = await load_baskets(where, orders)
        expected = {**loaded.commands_of, **NAMED_ORDERS}
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("events"),
            TimeElapsedColumn(),
            console=notices,
        ) as progress:
            task = progress.add_task("Waiting for the read models", total=sum(expected.values()))
            async for applied in arriving(connection, kafka, topics, expected):
                progress.update(task, completed=applied)
        seconds = time.monotonic() - loaded.began
        with notices.status("Checking against the data set …"):
            found = await read_figures(connection)
            comparison = compare(expected_figures(orders, found.orders.keys()), found)
        new_events = await count_events(connection) - before
        example = await find_example(connection, list(loaded.commands_of))
    return _Result(comparison, loaded, new_events, seconds, example)


def _print(result: _Result, output: Output, *, stays: bool) -> None:
    if output is Output.json:
        print_json(_as_json(result))
        return
    comparison = result.comparison
    table = Table(box=SIMPLE_HEAD, show_edge=False)
    table.add_column("")
    for name in comparison.data_set._fields:
        table.add_column(name, justify="right")
    for side, sums in (("data set", comparison.data_set), ("read models", comparison.read_models)):
        table.add_row(side, *(f"{value:,}" for value in sums))
    answers.print(table)
    answers.print(
        f"order totals equal: {comparison.orders_equal:,} of {comparison.orders:,}\n"
        f"sales rows equal:   {comparison.sales_rows_equal:,} of {comparison.sales_rows:,}",
        highlight=False,
    )
    for difference in comparison.differences[:_SHOWN_DIFFERENCES]:
        answers.print(f"differs: {difference}", markup=False, highlight=False, soft_wrap=True)
    if comparison.differences:
        more = len(comparison.differences) - _SHOWN_DIFFERENCES
        answers.print(
            (f"and {more:,} more. " if more > 0 else "")
            + "Had an earlier load been cut off, `till load` with as many orders completes it; "
            "else look at the order with `till history`.",
            highlight=False,
            soft_wrap=True,
        )
    _print_rates(result)
    _print_next(result.example, stays=stays)


def _print_rates(result: _Result) -> None:
    loaded = result.loaded
    sent = f"{loaded.commands:,} commands in {loaded.seconds:.1f} s, {loaded.rate:,.0f}/s"
    came = "nothing new, these baskets had been loaded before"
    if result.new_events:
        rate = result.new_events / result.seconds
        came = f"{result.new_events:,} events in {result.seconds:.1f} s, {rate:,.0f}/s, to the read models"
    answers.print(f"\nsent:       {sent}\nend to end: {came}", highlight=False)


def _print_next(order_id: UUID, *, stays: bool) -> None:
    till = "till" if shutil.which("till") else os.path.relpath(sys.argv[0])
    commands = [
        *([] if stays else [f"{till} up --detach"]),
        f"{till} show {order_id}",
        f"{till} history {order_id}",
        f"{till} at {order_id} --version 2",
        f"{till} lag",
        f"{till} kafka consumer-groups --describe --group projector.sales",
        "set -a; . .tillstream/env    # points other clients at Kafka and PostgreSQL",
    ]
    answers.print(f"\nTry next{', in another shell' if stays else ''}:", highlight=False)
    for command in commands:
        answers.print(f"  {command}", highlight=False, markup=False, soft_wrap=True)


def _as_json(result: _Result) -> dict[str, Any]:
    comparison = result.comparison
    return {
        "orders": comparison.orders,
        "orders_equal": comparison.orders_equal,
        "sales_rows": comparison.sales_rows,
        "sales_rows_equal": comparison.sales_rows_equal,
        "data_set": comparison.data_set._asdict(),
        "read_models": comparison.read_models._asdict(),
        "differences": [difference._asdict() for difference in comparison.differences],
        "commands": result.loaded.commands,
        "load_seconds": round(result.loaded.seconds, 3),
        "load_rate": round(result.loaded.rate, 1),
        "new_events": result.new_events,
        "end_to_end_seconds": round(result.seconds, 3),
        "end_to_end_rate": round(result.new_events / result.seconds, 1),
        "example": result.example,
    }
