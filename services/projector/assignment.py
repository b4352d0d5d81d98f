"""Where a newly assigned partition goes on: the offset Kafka holds, compared with the checkpoint.

Any tool that resets a group's offsets leaves their metadata empty, so an operator's rewind can be told from a
commit of ours that a crash left behind.
"""

from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from messaging import Assigned, Committed, Unrecoverable


class Checkpoint(NamedTuple):
    """How far the read model's tables have got on one partition, as they say themselves."""

    topic_id: UUID
    next_offset: int
    epoch: int
    acknowledged_offset: int | None
    refolding: bool


class Case(StrEnum):
    """What an assignment found. Stored: the names are kept in `projections.assignments`."""

    FIRST_START = "first_start"
    CHECKPOINT_LOST = "checkpoint_lost"
    WENT_ON = "went_on"
    DATABASE_RESTORED = "database_restored"
    NO_MOVE = "no_move"
    REWIND_TO_START = "rewind_to_start"
    REWIND_PART_WAY = "rewind_part_way"
    SKIP_REFUSED = "skip_refused"
    COMMIT_LOST = "commit_lost"


PLAIN = frozenset({Case.FIRST_START, Case.WENT_ON})
"""What every start and every crash gives: not worth a record."""


class Decision(NamedTuple):
    """Go on from `offset`; first drop the orders that have an event at or past it, if `drop`."""

    case: Case
    offset: int
    drop: bool = False


class RebuildNeeded(Unrecoverable):
    """The topic can't bring this read model up to date any more; the text says why, and what to do."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}: rebuild the read model")


def classify(kafka: Assigned, checkpoint: Checkpoint | None, topic_id: UUID) -> Decision:
    """Decide from what Kafka and the checkpoint say of one partition of the topic `topic_id`.

    Raises RebuildNeeded when the topic is another one than the checkpoint's, or no longer holds all that the
    read model has yet to apply.
    """
    if checkpoint is None:
        # Tables without a checkpoint say nothing of how far they got.
        case = Case.FIRST_START if kafka.committed is None else Case.CHECKPOINT_LOST
        return Decision(case, kafka.beginning, drop=True)
    if checkpoint.topic_id != topic_id:
        raise RebuildNeeded(
            f"the topic was deleted and made anew (its id was {checkpoint.topic_id}, now it is {topic_id})"
        )
    if checkpoint.next_offset < kafka.beginning:
        raise RebuildNeeded(
            f"the topic begins at offset {kafka.beginning}, but the read model has only got to"
            f" {checkpoint.next_offset}"
        )
    decision = _compare(kafka, kafka.committed, checkpoint)
    # A rewind that was interrupted while it dropped is finished whatever Kafka says by now.
    return decision._replace(drop=decision.drop or checkpoint.refolding)


def _compare(kafka: Assigned, committed: Committed | None, checkpoint: Checkpoint) -> Decision:
    # Past the end lie records that Kafka lost after we applied them; asked for one, it would start anew.
    here = min(checkpoint.next_offset, kafka.end)
    if committed is None or not kafka.beginning <= committed.offset <= kafka.end:
        return Decision(Case.COMMIT_LOST, here)
    if committed.ours:
        case = Case.DATABASE_RESTORED if committed.offset > checkpoint.next_offset else Case.WENT_ON
    elif committed.offset > checkpoint.next_offset:
        case = Case.SKIP_REFUSED
    elif committed.offset == checkpoint.next_offset:
        case = Case.NO_MOVE
    # Before the look at the acknowledged offset: to rebuild in vain is harmless, to ignore a rewind is not.
    elif committed.offset == kafka.beginning:
        return Decision(Case.REWIND_TO_START, kafka.beginning, drop=True)
    # A crash between the database's commit and Kafka's, and then a reset to the current offset.
    elif committed.offset == checkpoint.acknowledged_offset:
        case = Case.NO_MOVE
    else:
        return Decision(Case.REWIND_PART_WAY, committed.offset, drop=True)
    return Decision(case, here)
