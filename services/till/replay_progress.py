"""Showing how far a replay is, until it is over or goes on without us."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from operations.replay import Left, Reached, Seen, Step
from till.output import notices


async def show_replay(name: str, steps: AsyncIterator[Step]) -> Mapping[str, Any]:
    """Show the steps of a replay of the read model `name`; return how it was left, for the record."""
    details: Mapping[str, Any] = {}
    state = ""
    picture = Progress(
        TextColumn("[progress.description]{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} events"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[doing]}"),
        console=notices,
    )
    task = None
    try:
        with ExitStack() as shown:
            async for step in steps:
                match step:
                    case Reached():
                        state = step.state
                    case Seen(progress, rate, _):
                        if task is None:
                            shown.enter_context(picture)
                            task = picture.add_task(name, total=progress.events, rate="", doing="")
                        picture.update(
                            task,
                            completed=progress.replayed,
                            rate="" if rate is None else f"{rate:,.0f}/s",
                            doing=_doing(step),
                        )
                    case Left():
                        details = step.details
            if task is not None:
                picture.update(task, completed=picture.tasks[0].total)
    except asyncio.CancelledError:
        if state:
            notices.print(_how_to_go_on(name, state), highlight=False)
        raise
    if causes := details.get("still_paused_by"):
        notices.print(
            f"The offsets are reset, but {name} is still paused by {', '.join(causes)}:"
            f" it replays after `till resume {name}`.",
            highlight=False,
        )
    return details


def _doing(seen: Seen) -> str:
    now = seen.progress
    if now.level == now.partitions:
        return f"all {now.partitions} partitions level"
    if not now.taken:
        return f"paused by {', '.join(seen.paused_by)}" if seen.paused_by else "waits for a projector to join"
    folding = f", orders of {now.refolding} being folded again" if now.refolding else ""
    return f"{now.level} of {now.partitions} partitions level{folding}"


def _how_to_go_on(name: str, state: str) -> str:
    if state == "replaying":
        return (
            f"The projectors go on replaying {name}. Watch with `till replay {name} --continue`,"
            " or `till lag`."
        )
    return (
        f"{name} stays paused ({state}). Finish with `till replay {name} --continue`, end it with --cancel."
    )
