"""What operators ask of running services, through the database, and the record of it."""

from operations.actions import Action, recorded
from operations.pauses import Cause, pause, pause_causes, resume

__all__ = [
    "Action",
    "Cause",
    "pause",
    "pause_causes",
    "recorded",
    "resume",
]
