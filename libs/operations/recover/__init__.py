"""Takes back from the topics what a restored database lacks, and fills a lost topic from the log."""

from __future__ import annotations

from operations.recover.contradictions import Contradiction
from operations.recover.executing import execute, move_group
from operations.recover.republishing import Forecast, check_nobody_appends, forecast, republish
from operations.recover.survey import Survey, survey
from operations.recover.work import Work

__all__ = [
    "Contradiction",
    "Forecast",
    "Survey",
    "Work",
    "check_nobody_appends",
    "execute",
    "forecast",
    "move_group",
    "republish",
    "survey",
]
