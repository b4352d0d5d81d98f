"""What operators ask of running services, through the database, and the record of it."""

from __future__ import annotations

from operations.actions import Action, read_actions, recorded
from operations.pauses import Cause, pause, pause_causes, resume
from operations.start_check import TopicAhead, check_database_has_topics, check_logs_have_topics, refused

__all__ = [
    "Action",
    "Cause",
    "TopicAhead",
    "check_database_has_topics",
    "check_logs_have_topics",
    "pause",
    "pause_causes",
    "read_actions",
    "recorded",
    "refused",
    "resume",
]
