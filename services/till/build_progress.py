"""Showing how far a build is, until it is over or waits for the operator."""

import asyncpg
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from operations.rebuild import Build, FollowedBuild, follow
from till.output import notices


async def show_build(conn: asyncpg.Connection, build_id: int) -> Build:
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
        async for seen in follow(conn, build_id):
            build = seen.build
            speed = picture.tasks[0].speed
            picture.update(
                task,
                description=f"{build.kind} of {build.read_model}: {build.state.replace('_', ' ')}",
                total=build.orders_total or None,
                orders="?" if build.orders_total is None else f"{build.orders_total:,}",
                completed=build.orders_done,
                rate=f"{speed:,.0f}/s" if build.state == "scanning" and speed else "",
                doing=_doing(seen),
            )
            standing = _silence(seen) or _blocked(build)
            if standing and standing != told:
                picture.console.print(standing, highlight=False, markup=False, soft_wrap=True)
            told = standing
    return build


def _doing(seen: FollowedBuild) -> str:
    if seen.build.cancel_requested:
        return "is being cancelled"
    return "" if seen.to_catch_up is None else f"{seen.to_catch_up:,} events to catch up"


def _blocked(build: Build) -> str:
    """Say who is in the way of the swap, and what to do."""
    if not build.blocked_by:
        return ""
    return (
        f"The swap waits for {'; '.join(build.blocked_by)}. It goes on once that is over;"
        " `SELECT pg_terminate_backend(PID)`, as a superuser, ends a session."
    )


def _silence(seen: FollowedBuild) -> str:
    """Say why nobody works at a build; nothing while somebody does, or may soon."""
    if seen.silence is None:
        return ""
    name = seen.build.read_model
    if seen.silence.paused_by:
        return f"It waits: {name} is paused by {', '.join(seen.silence.paused_by)}."
    version = seen.silence.version
    which = "any version" if version is None else f"version {version}"
    return (
        f"No projector works at it: one of {name} must run, of {which} of the read model."
        " It will take this up by itself."
    )
