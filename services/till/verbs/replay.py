"""`till replay`: reset a read model's offsets as Kafka's own tool does, told before, watched and kept."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from operations import recorded
from operations.replay import (
    Execution,
    Forecast,
    Group,
    Scenario,
    ScenarioKind,
    forecast,
    moment_ago,
    parse_duration,
    parse_partitions,
    read_offsets_file,
)
from operations.replay.record import open_replay, tell_open
from till.connecting import acting, kafka_of, operator_connection, operator_name, run
from till.output import Output, OutputOption, answers, notices, print_json, print_rows
from till.read_models import ReadModelArgument
from till.replay_progress import show_replay
from till.settings import TillSettings, till_settings
from till.times import parse_time

_COLUMNS = ("partition", "committed", "checkpoint", "to", "events", "orders", "effect")
_INTERRUPTED = 130

_SCENARIO = "Where to: exactly one of these, as in kafka-consumer-groups --reset-offsets"
_ENDING = "A replay that was broken off"


def replay(
    read_model: ReadModelArgument,
    *,
    to_earliest: Annotated[
        bool, typer.Option("--to-earliest", help="The start.", rich_help_panel=_SCENARIO)
    ] = False,
    to_latest: Annotated[
        bool, typer.Option("--to-latest", help="The end.", rich_help_panel=_SCENARIO)
    ] = False,
    to_current: Annotated[
        bool, typer.Option("--to-current", help="Where it is.", rich_help_panel=_SCENARIO)
    ] = False,
    to_datetime: Annotated[
        str | None,
        typer.Option(
            help="The first record at or after a time, UTC unless it says.", rich_help_panel=_SCENARIO
        ),
    ] = None,
    by_duration: Annotated[
        str | None, typer.Option(help="So long ago: PT15M, P2D.", rich_help_panel=_SCENARIO)
    ] = None,
    shift_by: Annotated[
        int | None,
        typer.Option(help="So many records from where it is; back if negative.", rich_help_panel=_SCENARIO),
    ] = None,
    to_offset: Annotated[int | None, typer.Option(help="An offset.", rich_help_panel=_SCENARIO)] = None,
    from_file: Annotated[
        Path | None, typer.Option(help="A CSV file of topic,partition,offset.", rich_help_panel=_SCENARIO)
    ] = None,
    partitions: Annotated[str | None, typer.Option(help="Only these, as 0,3.")] = None,
    execute: Annotated[
        bool, typer.Option("--execute", help="Do it; else only tell what it would do.")
    ] = False,
    continue_: Annotated[
        bool, typer.Option("--continue", help="Finish it, or watch it.", rich_help_panel=_ENDING)
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="End it; the read model goes on.", rich_help_panel=_ENDING)
    ] = False,
    note: Annotated[str, typer.Option("--note", help="Why, for the record.")] = "",
    output: OutputOption = Output.table,
) -> None:
    """Have a read model apply events again, from where a scenario of Kafka's says. A dry run by default.

    The projectors are paused, their group's offsets reset, and the projectors let back; readers see the
    read model whole throughout.
    """
    settings = till_settings()
    kafka, topics = kafka_of(settings)
    group = Group(kafka, topics.group(f"projector.{read_model}"), topics.events)
    makers: dict[Callable[[], Scenario], bool] = {
        lambda: Scenario(ScenarioKind.EARLIEST): to_earliest,
        lambda: Scenario(ScenarioKind.LATEST): to_latest,
        lambda: Scenario(ScenarioKind.CURRENT): to_current,
        lambda: Scenario(ScenarioKind.DATETIME, moment=parse_time(to_datetime or "")): to_datetime
        is not None,
        lambda: Scenario(ScenarioKind.DATETIME, moment=_ago(by_duration or "")): by_duration is not None,
        lambda: Scenario(ScenarioKind.SHIFT, number=shift_by or 0): shift_by is not None,
        lambda: Scenario(ScenarioKind.OFFSET, number=to_offset or 0): to_offset is not None,
        lambda: _of_file(from_file or Path(), group): from_file is not None,
    }
    given = [make for make, wanted in makers.items() if wanted]
    if len(given) + continue_ + cancel != 1:
        raise typer.BadParameter("name exactly one: where to, or --continue, or --cancel")
    if (continue_ or cancel) and (execute or partitions is not None):
        raise typer.BadParameter("--continue and --cancel go by what was asked for")
    try:
        if continue_:
            answer = run(_continue(settings, group, read_model, note))
        elif cancel:
            answer = run(_cancel(settings, group, read_model, note))
        else:
            scenario = given[0]()
            if partitions is not None:
                scenario = replace(scenario, partitions=parse_partitions(partitions))
            answer = run(
                _replay(
                    settings, group, read_model, scenario=scenario, note=note, output=output, execute=execute
                )
            )
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    if output is Output.json:
        print_json(answer)


def _ago(text: str) -> datetime:
    return moment_ago(parse_duration(text))


def _of_file(path: Path, group: Group) -> Scenario:
    return Scenario(ScenarioKind.FILE, offsets=read_offsets_file(path, group.topic, group.name))


async def _replay(
    settings: TillSettings,
    group: Group,
    name: str,
    *,
    scenario: Scenario,
    note: str,
    output: Output,
    execute: bool,
) -> dict[str, Any]:
    async with operator_connection(settings) as conn:
        found = await forecast(conn, group, name, scenario)
        under_way = await open_replay(conn, name)
        if output is Output.table:
            _tell(name, found, None if under_way is None else tell_open(under_way))
        answer = {
            "read_model": name,
            "partitions": [row._asdict() for row in found.rows],
            "events": found.events,
            "orders": found.orders,
            "estimated_seconds": found.seconds,
            "under_way": None if under_way is None else tell_open(under_way),
            "executed": None,
        }
        if not execute:
            if output is Output.table:
                notices.print("Nothing has been changed: --execute does it.", highlight=False)
            return answer
        arguments = {"read_model": name, "note": note, **scenario.arguments()}
        async with recorded(conn, operator_name(), "replay", arguments) as action:
            action.details.update(await show_replay(name, Execution(conn, group, name).begin(action.id)))
        _tell_end(name, action.details)
        return {**answer, "executed": action.details}


async def _continue(settings: TillSettings, group: Group, name: str, note: str) -> dict[str, Any]:
    arguments = {"read_model": name, "note": note, "continue": True}
    async with acting(settings, "replay", arguments) as (conn, action):
        action.details.update(await show_replay(name, Execution(conn, group, name).carry_on()))
    _tell_end(name, action.details)
    return {"read_model": name, "executed": action.details}


async def _cancel(settings: TillSettings, group: Group, name: str, note: str) -> dict[str, Any]:
    arguments = {"read_model": name, "note": note}
    async with acting(settings, "cancel-replay", arguments) as (conn, action):
        told = action.details["meaning"] = await Execution(conn, group, name).cancel()
    notices.print(f"The replay of {name} is ended. {told}", highlight=False)
    return {"read_model": name, "cancelled": action.details}


def _tell(name: str, found: Forecast, under_way: str | None) -> None:
    rows = [row._asdict() for row in found.rows]
    print_rows(rows, _COLUMNS, Output.table, title=f"Replay of {name}")
    lines = [f"{found.events:,} events to be read again, {found.orders:,} orders to be folded again"]
    if found.rewinds:
        lines.append(f"time: {_time(found)}")
    else:
        lines.append("no effect: the projectors go on where they are")
    if found.refuses:
        lines.append(
            "A move ahead skips nothing: the projector refuses it, goes on from its checkpoint and keeps a"
            " note. An order that can't be applied is parked by itself: see `till parked`."
        )
    if under_way is not None:
        lines.append(f"Under way: {under_way}. It is finished by --continue and ended by --cancel.")
    for line in lines:
        answers.print(line, highlight=False, soft_wrap=True)


def _time(found: Forecast) -> str:
    if found.seconds is None:
        return "not measured yet: no replay of this read model has been watched to its end"
    return (
        f"about {timedelta(seconds=round(found.seconds))} at {found.rate:,.0f} events/s, as its last replay"
    )


def _tell_end(name: str, details: Mapping[str, Any]) -> None:
    if not details["finished"]:
        return
    if "superseded" in details:
        notices.print(f"Another generation of {name} has gone live: there is nothing to make up for.")
        return
    rate = details.get("events_per_second")
    measured = "" if rate is None else f", {rate:,.0f} events/s"
    notices.print(
        f"{name} is where it was: {details['events']:,} events replayed{measured}.", highlight=False
    )
