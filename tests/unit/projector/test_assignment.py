"""Each row of the design's table of assignments."""

from uuid import UUID

import pytest

from messaging import Assigned, Committed
from projector.assignment import PLAIN, Case, Checkpoint, Decision, RebuildNeeded, classify

TOPIC_ID = UUID(int=1)
BEGINNING, END = 100, 1000
CHECKPOINT = Checkpoint(TOPIC_ID, next_offset=500, epoch=3, acknowledged_offset=480, refolding=False)


def decide(committed: Committed | None, checkpoint: Checkpoint | None = CHECKPOINT) -> Decision:
    return classify(Assigned(committed, BEGINNING, END), checkpoint, TOPIC_ID)


def ours(offset: int) -> Committed:
    return Committed(offset, ours=True)


def foreign(offset: int) -> Committed:
    return Committed(offset, ours=False)


@pytest.mark.parametrize("offset", [BEGINNING, 480, 499, 500])
def test_our_own_commit_at_or_behind_the_checkpoint_goes_on_from_the_checkpoint(offset: int) -> None:
    """A crash can leave Kafka's offset behind the database's, never the other way: the checkpoint rules."""
    assert decide(ours(offset)) == Decision(Case.WENT_ON, 500)


@pytest.mark.parametrize("offset", [501, END])
def test_our_own_commit_ahead_of_the_checkpoint_means_a_restored_database(offset: int) -> None:
    """What the restored tables lack is read again, from their own checkpoint."""
    assert decide(ours(offset)) == Decision(Case.DATABASE_RESTORED, 500)


@pytest.mark.parametrize("offset", [480, 500])
def test_a_reset_to_where_we_are_is_no_move(offset: int) -> None:
    """A reset to the current offset moves nothing, also when a crash kept Kafka from our last commit."""
    assert decide(foreign(offset)) == Decision(Case.NO_MOVE, 500)


def test_a_reset_to_the_start_drops_and_rebuilds() -> None:
    """A rewind to the first record that the topic still has rebuilds all that it speaks of."""
    assert decide(foreign(BEGINNING)) == Decision(Case.REWIND_TO_START, BEGINNING, drop=True)


def test_a_reset_to_the_start_counts_also_where_kafka_acknowledged_it() -> None:
    """Where a reset could be no move or a rewind to the start it is the rewind, which is never wrong."""
    checkpoint = CHECKPOINT._replace(acknowledged_offset=BEGINNING)
    assert decide(foreign(BEGINNING), checkpoint) == Decision(Case.REWIND_TO_START, BEGINNING, drop=True)


@pytest.mark.parametrize("offset", [101, 479, 481, 499])
def test_a_reset_part_of_the_way_drops_from_there(offset: int) -> None:
    """A rewind part of the way drops and folds again the orders with events at or past its offset."""
    assert decide(foreign(offset)) == Decision(Case.REWIND_PART_WAY, offset, drop=True)


@pytest.mark.parametrize("offset", [501, END])
def test_a_reset_ahead_is_refused(offset: int) -> None:
    """Skipping events would leave a read model that is not the fold of the log."""
    assert decide(foreign(offset)) == Decision(Case.SKIP_REFUSED, 500)


@pytest.mark.parametrize(
    "committed", [None, ours(BEGINNING - 1), foreign(BEGINNING - 1), ours(END + 1), foreign(END + 1)]
)
def test_a_lost_commit_goes_on_from_the_checkpoint(committed: Committed | None) -> None:
    """Deleted, expired and out-of-range offsets say nothing: the checkpoint rules."""
    assert decide(committed) == Decision(Case.COMMIT_LOST, 500)


def test_a_first_start_begins_at_the_beginning_of_the_topic() -> None:
    """Without a checkpoint and a commit it is the first start: from the first record, nothing to report."""
    assert decide(None, None) == Decision(Case.FIRST_START, BEGINNING, drop=True)
    assert Case.FIRST_START in PLAIN


@pytest.mark.parametrize("committed", [ours(500), foreign(500), foreign(END)])
def test_a_lost_checkpoint_rebuilds_from_the_beginning(committed: Committed) -> None:
    """Tables without a checkpoint can't say how far they got, and Kafka's word for it is not taken."""
    assert decide(committed, None) == Decision(Case.CHECKPOINT_LOST, BEGINNING, drop=True)


@pytest.mark.parametrize("committed", [None, ours(500), foreign(END), foreign(500)])
def test_an_interrupted_drop_is_finished(committed: Committed | None) -> None:
    """Rows dropped in part are dropped to the end, whatever Kafka's offsets say by then."""
    decision = decide(committed, CHECKPOINT._replace(refolding=True))
    assert decision.drop
    assert decision.offset == CHECKPOINT.next_offset


def test_a_checkpoint_past_the_end_goes_on_from_the_end() -> None:
    """When Kafka lost records that were applied, new ones come in their place, and none is passed over."""
    checkpoint = CHECKPOINT._replace(next_offset=END + 7)
    assert decide(ours(END), checkpoint) == Decision(Case.WENT_ON, END)


def test_records_gone_before_they_were_applied_need_a_rebuild() -> None:
    """A topic that begins after the checkpoint would leave a hole in silence."""
    with pytest.raises(RebuildNeeded, match="begins at offset 100, but the read model has only got to 99"):
        decide(ours(99), CHECKPOINT._replace(next_offset=BEGINNING - 1))


def test_a_topic_made_anew_needs_a_rebuild() -> None:
    """Offsets of a deleted topic say nothing of the new one under its name."""
    with pytest.raises(RebuildNeeded, match="made anew"):
        classify(Assigned(ours(500), BEGINNING, END), CHECKPOINT, UUID(int=2))
