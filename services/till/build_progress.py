"""Showing how far a build is, until it is over or waits for the operator."""

from __future__ import annotations

import asyncio

import asyncpg
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from operations.rebuild.builds import (
    Build,
    events_to_catch_up,
    generations_to_drop,
    open_build,
    read_build,
    why_waiting,
)
from till.output import notices

# A projector looks every half second; one that works at a build shows it more often.
SILENT_AT_MOST = 15.0
_LOOK_SECONDS = 0.3


async def follow(conn: asyncpg.Connection, build_id: int) -> Build:
    """Show a build's progress until it has ended, or holds; return it as it is then."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,.0f}/{task.fields[orders]} orders"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[doing]}"),
        console=notices,
    ) as picture:
        task = picture.add_task("", total=None, orders="?", rate="", doing="")
        told = ""
        while True:
            build = await read_build(conn, build_id)
            speed = picture.tasks[0].speed
            scanning = build.state == "scanning"
            picture.update(
                task,
                description=f"{build.kind} of {build.read_model}: {build.state.replace('_', ' ')}",
                total=build.orders_total or None,
                orders="?" if build.orders_total is None else f"{build.orders_total:,}",
                completed=build.orders_done,
                rate=f"{speed:,.0f}/s" if scanning and speed else "",
                doing=await _doing(conn, build),
            )
            if build.ended or build.holds:
                return build
            silence = await _silence(conn, build)
            if silence and silence != told:
                picture.console.print(silence, highlight=False, soft_wrap=True)
            told = silence
            await asyncio.sleep(_LOOK_SECONDS)


async def _doing(conn: asyncpg.Connection, build: Build) -> str:
    if build.cancel_requested:
        return "is being cancelled"
    if build.state == "catching_up" and build.generation is not None:
        events = await events_to_catch_up(conn, build.read_model, build.generation)
        return f"{events:,} events to catch up"
    return ""


async def _silence(conn: asyncpg.Connection, build: Build) -> str:
    """Say why nobody works at a build; nothing while somebody does, or may soon."""
    if build.silent_seconds < SILENT_AT_MOST:
        return ""
    if waiting := await why_waiting(conn, build.read_model):
        return f"It waits: {waiting}."
    which = "any version" if build.cancel_requested else f"version {build.version}"
    return (
        f"No projector works at it: one of {build.read_model} must run, of {which} of the read model."
        " It will take this up by itself."
    )


async def wait_until_dropped(conn: asyncpg.Connection, read_model: str, *, deadline: float) -> bool:
    """Wait until a projector has dropped what nobody wants, at most so many seconds; tell whether it has."""
    try:
        async with asyncio.timeout(deadline):
            while await generations_to_drop(conn, read_model) or await open_build(conn, read_model):  # noqa: ASYNC110 - what is waited for happens in another process
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        return False
    return True
