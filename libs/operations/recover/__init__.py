"""Takes back from the topics what a restored database lacks, and fills a lost topic from the log."""

from operations.recover.recovery import Recovery, recover
from operations.recover.republishing import Republishing, republish
from operations.recover.restoring import move_group
from operations.recover.work import Step, Work

__all__ = ["Recovery", "Republishing", "Step", "Work", "move_group", "recover", "republish"]
