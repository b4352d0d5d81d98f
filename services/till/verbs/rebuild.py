"""`till rebuild`: make a read model's tables anew beside the live ones, compare, swap, and go back."""

import asyncio
from typing import Annotated

import typer

from operations.rebuild import (
    Build,
    ask_for_rebuild,
    ask_for_rollback,
    await_dropped,
    cancel_build,
    drop_previous,
    release_build,
    under_way,
)
from till.build_outcome import comparison_counts, print_build
from till.build_progress import show_build
from till.connecting import acting, operator_connection, run
from till.errors import TillError
from till.output import Output, OutputOption, notices
from till.read_models import ReadModelArgument
from till.settings import TillSettings, till_settings

_INTERRUPTED = 130
_DROP_DEADLINE = 30.0
_INSTEAD = "Instead of a new one"


def rebuild(
    read_model: ReadModelArgument,
    *,
    throttle: Annotated[
        int | None, typer.Option(min=1, help="Orders a second at most; else as fast as it goes.")
    ] = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="Compare, and wait for --swap before the swap.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Show the progress, or only ask for it.")
    ] = True,
    follow_: Annotated[
        bool, typer.Option("--follow", help="Show the one under way.", rich_help_panel=_INSTEAD)
    ] = False,
    swap: Annotated[
        bool, typer.Option("--swap", help="Let the one that holds swap.", rich_help_panel=_INSTEAD)
    ] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="End the one under way.", rich_help_panel=_INSTEAD)
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the kept one.", rich_help_panel=_INSTEAD)
    ] = False,
    clean_up: Annotated[
        bool, typer.Option("--clean-up", help="Drop the kept one.", rich_help_panel=_INSTEAD)
    ] = False,
    note: Annotated[str, typer.Option("--note", help="Why, for the record.")] = "",
    output: OutputOption = Output.table,
) -> None:
    """Make a read model anew from the event store, beside the live one, and swap it in once it is level.

    A projector of this version does it. Readers read the live one until the swap, and the new one after it.
    """
    modes = {"follow": follow_, "swap": swap, "cancel": cancel, "rollback": rollback, "clean-up": clean_up}
    mode = next((name for name, wanted in modes.items() if wanted), "rebuild")
    if sum(modes.values()) > 1:
        raise typer.BadParameter("these exclude each other: --" + ", --".join(modes))
    if mode != "rebuild" and (throttle is not None or hold):
        raise typer.BadParameter("--throttle and --hold are of a new one")
    settings = till_settings()
    try:
        if mode == "follow":
            build: Build | None = run(_follow(settings, read_model))
        elif mode == "clean-up":
            run(_clean_up(settings, read_model, note))
            return
        else:
            build = run(_act(settings, mode, read_model, throttle=throttle, hold=hold, wait=wait, note=note))
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    if build is None:
        return
    print_build(build, output)
    if build.state == "failed":
        raise TillError(
            f"The {build.kind} failed: {build.error}.",
            "The live one goes on as before. The projector's log says more.",
        )
    if build.state == "cancelled" and mode != "cancel":
        raise typer.Exit(1)


async def _act(
    settings: TillSettings,
    mode: str,
    name: str,
    *,
    throttle: int | None,
    hold: bool,
    wait: bool,
    note: str,
) -> Build | None:
    """Do what changes something, on the record; return the build as it is at the end, or None unwatched."""
    arguments = {"read_model": name, "note": note, "throttle": throttle, "hold": hold}
    action_name = "rebuild" if mode == "rebuild" else f"rebuild --{mode}"
    async with acting(settings, action_name, arguments) as (conn, action):
        if mode == "rebuild":
            build = await ask_for_rebuild(conn, name, action.id, throttle=throttle, hold=hold)
        elif mode == "rollback":
            build = await ask_for_rollback(conn, name, action.id)
        else:
            build = (await under_way(conn, name)).id
            await (cancel_build if mode == "cancel" else release_build)(conn, build)
        action.details["build"] = build
        if not wait:
            notices.print(f"Asked for. `till rebuild {name} --follow` shows how far it is.", highlight=False)
            return None
        try:
            ended = await show_build(conn, build)
        except asyncio.CancelledError:
            notices.print(
                f"It goes on without us: `till rebuild {name} --follow` shows it again, `--cancel` ends it.",
                highlight=False,
                soft_wrap=True,
            )
            raise
        action.details.update(state=ended.state, **comparison_counts(ended))
        if ended.error is not None:
            action.details["error"] = ended.error
        return ended


async def _follow(settings: TillSettings, name: str) -> Build:
    async with operator_connection(settings) as conn:
        return await show_build(conn, (await under_way(conn, name)).id)


async def _clean_up(settings: TillSettings, name: str, note: str) -> None:
    arguments = {"read_model": name, "note": note}
    async with acting(settings, "rebuild --clean-up", arguments) as (conn, action):
        generations = action.details["generations"] = await drop_previous(conn, name)
        if not generations:
            notices.print(f"No generation of {name} is kept.", highlight=False)
        elif await await_dropped(conn, name, deadline=_DROP_DEADLINE):
            notices.print(f"Dropped: generation {', '.join(map(str, generations))}.", highlight=False)
        else:
            notices.print(
                f"A projector of {name} will drop it: none has within {_DROP_DEADLINE:.0f} s.",
                highlight=False,
                soft_wrap=True,
            )
