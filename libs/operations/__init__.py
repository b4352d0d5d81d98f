"""What operators do and the record of it, what is refused, and what services check before they start.

The larger ones have packages of their own: replay, rebuild, verify, recover, dead_letters, status.
"""

from operations.actions import Action, read_actions, recorded
from operations.errors import (
    AlreadyUnderWay,
    Contradiction,
    CouldNotCheck,
    NotFound,
    OperationRefused,
    Unreachable,
)
from operations.pauses import Cause, pause, pause_causes, resume
from operations.start_check import TopicAhead, check_database_has_topics, check_logs_have_topics, refused

__all__ = [
    "Action",
    "AlreadyUnderWay",
    "Cause",
    "Contradiction",
    "CouldNotCheck",
    "NotFound",
    "OperationRefused",
    "TopicAhead",
    "Unreachable",
    "check_database_has_topics",
    "check_logs_have_topics",
    "pause",
    "pause_causes",
    "read_actions",
    "recorded",
    "refused",
    "resume",
]
