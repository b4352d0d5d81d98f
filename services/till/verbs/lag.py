"""`till lag`: how far each read model is behind the topic of events, and how much waits to be published."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.console import ConsoleRenderable, Group
from rich.live import Live
from rich.text import Text

from operations.status import Lag, Lags, Rates, lag_reader, read_lags
from readmodels.read_model_status import ReadModelStatus, tell_replay
from runtime.printable import printable
from till.connecting import kafka_of, query_connection, run, run_over
from till.output import Output, OutputOption, answers, print_json, print_rows, rows_table
from till.settings import till_settings
from till.verbs.holds import held_back

_REFRESH_SECONDS = 1.0
_MINUTE, _HOUR = 60, 3600
_SOURCES_TOLD = 3
_COLUMNS = ("read_model", "records", "oldest_seconds", "parked_orders", "state")
_PARTITION_COLUMNS = ("read_model", "partition", "place", *_COLUMNS[1:], "held_at")
_WAITING_COLUMNS = ("topic", "partition", "place", "records", "oldest_seconds", "held_at")

PartitionsOption = Annotated[bool, typer.Option("--partitions", help="Each partition for itself.")]
WatchOption = Annotated[
    bool, typer.Option("--watch", help="Look again each second, with rates, until Ctrl-C.")
]


def lag(
    *, partitions: PartitionsOption = False, watch: WatchOption = False, output: OutputOption = Output.table
) -> None:
    """Show how many events each read model has not applied yet, how it stands, and what waits before it."""
    if watch:
        if output is not Output.table:
            raise typer.BadParameter("--watch is for people: a program asks again by itself")
        with suppress(KeyboardInterrupt):
            run(_watch(partitions=partitions))
        return
    kafka, topics = kafka_of(till_settings())
    lags = run_over(query_connection, lambda conn: read_lags(conn, kafka, topics))
    if output is Output.json:
        print_json(_document(lags, partitions=partitions))
        return
    if partitions:
        print_rows(_partition_rows(lags), _PARTITION_COLUMNS, output, title="Not yet applied")
        print_rows(_waiting_rows(lags), _WAITING_COLUMNS, output, title="Commands that wait")
    else:
        print_rows(_rows(lags), _COLUMNS, output, title="Not yet applied")
    for held in _held_events(lags):
        answers.print(held, soft_wrap=True)
    answers.print(_commands(lags), soft_wrap=True)
    if told := held_back(lags.held_back):
        answers.print(told, soft_wrap=True)
    if lags.elsewhere:
        answers.print(_elsewhere(lags), soft_wrap=True)
    answers.print(_outbox(lags, None), soft_wrap=True)


async def _watch(*, partitions: bool) -> None:
    rates, where = Rates(), till_settings()
    async with (
        query_connection(where) as connection,
        lag_reader(connection, *kafka_of(where)) as reader,
    ):
        with Live(console=answers, auto_refresh=False) as live:
            while True:
                lags = await reader.read()
                rates.see(lags)
                live.update(_picture(lags, rates, partitions=partitions), refresh=True)
                await asyncio.sleep(_REFRESH_SECONDS)


def _picture(lags: Lags, rates: Rates, *, partitions: bool) -> Group:
    rows: list[dict[str, Any]] = []
    for row in _rows(lags):
        rate = rates.applied(row["read_model"])
        to_go = lags.read_models[row["read_model"]].records
        rows.append({**row, "per_second": rate, "level_in": _eta(to_go, rate)})
    table = rows_table(rows, (*_COLUMNS[:3], "per_second", "level_in", *_COLUMNS[3:]))
    # What is longer than the terminal is cut off there: those that wait longest come first.
    waiting = sorted(_partition_rows(lags), key=lambda row: row["oldest_seconds"], reverse=True)
    below: list[ConsoleRenderable] = []
    if partitions:
        commands = rows_table(_waiting_rows(lags), _WAITING_COLUMNS)
        below = [rows_table(waiting, _PARTITION_COLUMNS), Text(), commands]
    return Group(
        Text("Not yet applied", style="bold"),
        table,
        *_held_events(lags),
        _commands(lags),
        *([told] if (told := held_back(lags.held_back)) else []),
        *([_elsewhere(lags)] if lags.elsewhere else []),
        _outbox(lags, rates.outbox_growth()),
        Text(),
        *below,
    )


def _eta(records: int, rate: float | None) -> str | None:
    """Say how long it takes at this rate; nothing when level, or without a rate."""
    if not records or not rate:
        return None
    seconds = round(records / rate)
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min {seconds % _MINUTE} s"
    return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"


def _commands(lags: Lags) -> Text:
    told = Text()
    for topic, partitions in lags.waiting.items():
        records = sum(each.records for each in partitions.values())
        told.append(f"{chr(10) if told else ''}Commands: {records:,} on {topic} wait to be handled")
        if records:
            oldest = max(each.oldest_seconds for each in partitions.values())
            told.append(f", the oldest for {oldest:,.1f} s")
        for number, each in partitions.items():
            if each.held_at is not None:
                told.append("\n").append(_held(topic, number, each.held_at, each.oldest_seconds))
    return told


def _held(topic: str, partition: int, at: int, seconds: float) -> Text:
    return Text(
        f"{topic}/{partition} is held at {at} by a transaction that its sender left open,"
        f" for {seconds:,.1f} s: docs/transactions.md",
        style="bold red",
    )


def _elsewhere(lags: Lags) -> Text:
    worst, count = lags.elsewhere[:_SOURCES_TOLD], len(lags.elsewhere)
    first = [f"{printable(each.source) or 'no source'}: {each.records:,}" for each in worst]
    more = f", {count - len(first):,} more" if count > len(first) else ""
    return Text(
        f"Commands in another partition than their orders' others, of {count:,} source{'s' * (count != 1)}"
        f" ({', '.join(first)}{more}): an order's commands may change places. docs/partitioning.md",
        style="bold red",
    )


def _held_events(lags: Lags) -> list[Text]:
    return [
        _held(topic, number, each.at, each.seconds)
        for topic, partitions in lags.transactions.items()
        for number, each in partitions.items()
    ]


def _waiting_rows(lags: Lags) -> list[dict[str, Any]]:
    return [
        {"topic": topic, "partition": number, **each._asdict()}
        for topic, partitions in lags.waiting.items()
        for number, each in partitions.items()
    ]


def _outbox(lags: Lags, growth: float | None) -> Text:
    rows, seconds = lags.outbox
    text = Text(f"Outbox: {rows:,} messages wait to be published")
    if rows:
        text.append(f", the oldest for {seconds:,.1f} s")
    if growth is not None and rows and growth > 0:
        text.append(f"; it grows by {growth:,.0f} a second", style="bold red")
    return text


def _document(lags: Lags, *, partitions: bool) -> Mapping[str, Any]:
    read_models = {}
    for name, each in lags.read_models.items():
        status = each.status
        row = {
            "records": each.records,
            "oldest_seconds": each.oldest_seconds,
            "parked_orders": each.parked_orders,
            "state": _word(status),
            "paused_by": status.pauses,
            "to_replay": sum(place.to_replay for place in status.places.values()),
            "building": status.build and {**status.build._asdict(), "swap_blocked_by": each.swap_blocked_by},
        }
        if partitions:
            row["partitions"] = {number: partition._asdict() for number, partition in each.partitions.items()}
        read_models[name] = row
    commands = {
        topic: {
            "records": sum(each.records for each in found.values()),
            "oldest_seconds": max((each.oldest_seconds for each in found.values()), default=0.0),
            "held": {number: each.held_at for number, each in found.items() if each.held_at is not None},
            **({"partitions": {n: each._asdict() for n, each in found.items()}} if partitions else {}),
        }
        for topic, found in lags.waiting.items()
    }
    events = {
        topic: {
            "held": {number: each.at for number, each in found.items()},
            "held_seconds": max((each.seconds for each in found.values()), default=0.0),
        }
        for topic, found in lags.transactions.items()
    }
    return {
        "read_models": read_models,
        "events": events,
        "commands": commands,
        "held_back": [{**each.hold._asdict(), "records": each.records} for each in lags.held_back],
        "elsewhere": [each._asdict() for each in lags.elsewhere],
        "outbox": lags.outbox._asdict(),
    }


def _rows(lags: Lags) -> list[dict[str, Any]]:
    return [
        {
            "read_model": name,
            "records": each.records,
            "oldest_seconds": each.oldest_seconds,
            "parked_orders": each.parked_orders,
            "state": _told(each),
        }
        for name, each in lags.read_models.items()
    ]


def _partition_rows(lags: Lags) -> list[dict[str, Any]]:
    return [
        {
            "read_model": name,
            "partition": number,
            **partition._asdict(),
            "state": _told_of_partition(each.status, number),
        }
        for name, each in lags.read_models.items()
        for number, partition in each.partitions.items()
    ]


def _word(status: ReadModelStatus) -> str:
    """Return the state in one word, for programs: what an operator did counts before what follows from it."""
    if status.pauses:
        return "paused"
    if any(place.replaying for place in status.places.values()):
        return "replaying"
    if status.build:
        return "building"
    return "live" if status.places else "not started"


def _told(lag: Lag) -> str:
    """Return all that is to be said of a read model's state."""
    status, told = lag.status, []
    if status.pauses:
        told.append(f"paused by {' and '.join(status.pauses)}")
    if replay := tell_replay(status.places.values()):
        told.append(replay)
    if build := status.build:
        share = f", {build.orders_done / build.orders_total:.0%}" if build.orders_total else ""
        told.append(f"{build.kind}: {build.state.replace('_', ' ')}{share}")
    if lag.swap_blocked_by:
        told.append(f"the swap waits for {'; '.join(lag.swap_blocked_by)}")
    return "; ".join(told) or _word(status)


def _told_of_partition(status: ReadModelStatus, number: int) -> str:
    place = status.places.get(number)
    replay = tell_replay([place]) if place else None
    return replay or ("paused" if status.pauses else "live" if place else "not started")
