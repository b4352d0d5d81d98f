"""`till pause` and `till resume`: take a read model's projectors out of their group, and let them back."""

from typing import Annotated

import typer

from operations import pause as pause_read_model
from operations import pause_causes
from operations import resume as resume_read_model
from operations.groups import wait_until_left
from till.connecting import acting, kafka_of, run
from till.output import notices
from till.read_models import ReadModelArgument
from till.settings import TillSettings, till_settings

NoteOption = Annotated[str, typer.Option("--note", help="Why, for the record.")]


def pause(read_model: ReadModelArgument, note: NoteOption = "") -> None:
    """Take a read model's projectors out of their group until `till resume`, also across their restarts."""
    run(_pause(till_settings(), read_model, note))


def resume(read_model: ReadModelArgument, note: NoteOption = "") -> None:
    """End a pause: the read model's projectors go on from where they were."""
    run(_resume(till_settings(), read_model, note))


async def _pause(settings: TillSettings, name: str, note: str) -> None:
    arguments = {"read_model": name, "note": note}
    async with acting(settings, "pause", arguments) as (connection, action):
        new = await pause_read_model(connection, name, "operator", action.id)
        action.details["was_paused"] = not new
        kafka, topics = kafka_of(settings)
        group = topics.group(f"projector.{name}")
        left = await wait_until_left(kafka, group)
        action.details["group_empty"] = left
    state = "paused" if new else "paused already"
    members = "no projector is in its group" if left else f"but the group {group} still has members"
    notices.print(f"{name} is {state}, {members}. Readers see it as it stands.", highlight=False)


async def _resume(settings: TillSettings, name: str, note: str) -> None:
    arguments = {"read_model": name, "note": note}
    async with acting(settings, "resume", arguments) as (connection, action):
        was_paused = action.details["was_paused"] = await resume_read_model(connection, name, "operator")
        others = action.details["still_paused_by"] = await pause_causes(connection, name)
    if others:
        notices.print(f"{name} is still paused by {', '.join(others)}.", highlight=False)
    elif was_paused:
        notices.print(f"{name} goes on.", highlight=False)
    else:
        notices.print(f"{name} was not paused.", highlight=False)
