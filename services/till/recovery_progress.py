"""Showing how far a recovery or a republishing is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from operations.recover import Step
from till.output import notices


@contextmanager
def steps_shown() -> Iterator[Callable[[Step], None]]:
    """Show each step that the given function is told of as a bar of its own."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=notices,
    ) as picture:
        shown: dict[str, TaskID] = {}
        told = ""

        def show(step: Step) -> None:
            nonlocal told
            if step.doing not in shown:
                shown[step.doing] = picture.add_task(step.doing, total=step.total, rate="")
            task = shown[step.doing]
            speed = picture.tasks[task].speed
            picture.update(
                task, total=step.total, completed=step.done, rate=f"{speed:,.0f}/s" if speed else ""
            )
            if step.waits_for and step.waits_for != told:
                picture.console.print(f"It waits for {step.waits_for}.", highlight=False, soft_wrap=True)
            told = step.waits_for

        yield show
