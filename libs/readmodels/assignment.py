"""Where a newly assigned partition goes on: the offset Kafka holds, compared with the checkpoint.

Any tool that resets a group's offsets leaves their metadata empty, so an operator's rewind can be told from a
commit of ours that a crash left behind.
"""

from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from messaging import Assigned, Committed, Unrecoverable
from readmodels import OrderKey


class Place(NamedTuple):
    """Where a live read model is in one partition; while it makes up for a rewind, until which offset."""

    next_offset: int
    refolding: bool = False
    replay_until: int | None = None

    @property
    def to_replay(self) -> int:
        """Records that it had applied before and reads again."""
        return 0 if self.replay_until is None else max(0, self.replay_until - self.next_offset)

    @property
    def replaying(self) -> bool:
        """Whether a rewind is being made up for."""
        return self.refolding or self.to_replay > 0


class Checkpoint(NamedTuple):
    """How far the read model's tables have got on one partition, as they say themselves.

    While `refolding`, a rewind to `next_offset` is not made up for yet; `refolded` is the last order that was
    folded again. `replay_until` is the offset at which the last rewind is made up for.
    """

    topic_id: UUID
    next_offset: int
    epoch: int
    acknowledged_offset: int | None
    refolding: bool
    refolded: OrderKey | None = None
    replay_until: int | None = None

    @property
    def place(self) -> Place:
        """What of it anyone may know."""
        return Place(self.next_offset, self.refolding, self.replay_until)


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
    RECORDS_LOST = "records_lost"
    TOPIC_CUT_SHORT = "topic_cut_short"


PLAIN = frozenset({Case.FIRST_START, Case.WENT_ON})
"""What every start and every crash gives: not worth a record."""


class Decision(NamedTuple):
    """Go on from `offset`, after the tables were put right from the event store.

    Orders with an event at or past `refold_from` (None: no orders) that come after the order `refolded` are
    folded again. With `fill`, orders that the topic no longer tells whole are brought up to the store.
    """

    case: Case
    offset: int
    refold_from: int | None = None
    fill: bool = False
    refolded: OrderKey | None = None
    replay_until: int | None = None

    @property
    def refolding(self) -> bool:
        """Whether anything is to be done before the topic is read."""
        return self.fill or self.refold_from is not None


class RebuildNeeded(Unrecoverable):
    """The topic can't bring this read model up to date any more; the text says why, and what to do."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}: rebuild the read model")


def classify(kafka: Assigned, checkpoint: Checkpoint | None, topic_id: UUID) -> Decision:
    """Decide from what Kafka and the checkpoint say of one partition of the topic `topic_id`.

    Raises RebuildNeeded when the topic is another one than the checkpoint's.
    """
    if checkpoint is None:
        # Tables without a checkpoint say nothing of how far they got.
        if kafka.committed is None:
            return _from_start(Case.FIRST_START, kafka, None)
        return _from_start(Case.CHECKPOINT_LOST, kafka, kafka.end)
    if checkpoint.topic_id != topic_id:
        raise RebuildNeeded(
            f"the topic was deleted and made anew (its id was {checkpoint.topic_id}, now it is {topic_id})"
        )
    decision = _compare(kafka, kafka.committed, checkpoint)
    if not checkpoint.refolding or decision.refold_from is not None:
        return decision
    # A rewind that was cut off before all was folded again is finished, whatever Kafka says by now. How far
    # it was to go is told by where it went.
    if checkpoint.next_offset <= kafka.beginning:
        resumed = _from_start(decision.case, kafka, checkpoint.replay_until)
    else:
        resumed = decision._replace(refold_from=decision.offset)
    return resumed._replace(refolded=checkpoint.refolded)


def _from_start(case: Case, kafka: Assigned, replay_until: int | None) -> Decision:
    """Fold all the partition's orders again; a topic that lost its first records knows not all of them."""
    return Decision(case, kafka.beginning, refold_from=0, fill=kafka.beginning > 0, replay_until=replay_until)


def _compare(kafka: Assigned, committed: Committed | None, checkpoint: Checkpoint) -> Decision:
    next_offset = checkpoint.next_offset
    if committed is not None and not committed.ours and committed.offset == kafka.beginning != next_offset:
        # Before the look at the acknowledged offset: to fold in vain is harmless, to ignore a rewind is not.
        return _from_start(Case.REWIND_TO_START, kafka, _furthest(checkpoint))
    if next_offset < kafka.beginning:
        return Decision(Case.RECORDS_LOST, kafka.beginning, fill=True, replay_until=checkpoint.replay_until)
    if next_offset > kafka.end:
        # What Kafka lost at the end we have applied; what came in its place lies at the same offsets.
        return _from_start(Case.TOPIC_CUT_SHORT, kafka, None)
    if committed is None or not kafka.beginning <= committed.offset <= kafka.end:
        case = Case.COMMIT_LOST
    elif committed.ours:
        case = Case.DATABASE_RESTORED if committed.offset > next_offset else Case.WENT_ON
    elif committed.offset > next_offset:
        case = Case.SKIP_REFUSED
    # The second is a crash between the database's commit and Kafka's, and then a reset to the current offset.
    elif committed.offset in {next_offset, checkpoint.acknowledged_offset}:
        case = Case.NO_MOVE
    else:
        return Decision(
            Case.REWIND_PART_WAY,
            committed.offset,
            refold_from=committed.offset,
            replay_until=_furthest(checkpoint),
        )
    return Decision(case, next_offset, replay_until=checkpoint.replay_until)


def _furthest(checkpoint: Checkpoint) -> int:
    return max(checkpoint.next_offset, checkpoint.replay_until or 0)
