"""Takes back from the topics what a restored database lacks, and fills a lost topic from the log."""

from till.recovery.contradictions import Contradiction
from till.recovery.executing import execute, move_group
from till.recovery.republishing import Forecast, check_nobody_appends, forecast, republish
from till.recovery.survey import Survey, survey
from till.recovery.work import Work

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
