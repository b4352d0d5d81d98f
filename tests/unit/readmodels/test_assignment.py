"""Each row of the design's table of assignments."""

from uuid import UUID

import pytest

from messaging import Assigned, Committed
from readmodels.assignment import PLAIN, Case, Checkpoint, Decision, RebuildNeeded, classify

TOPIC_ID = UUID(int=1)
BEGINNING, END = 100, 1000
CHECKPOINT = Checkpoint(TOPIC_ID, next_offset=500, epoch=3, acknowledged_offset=480, refolding=False)


def decide(committed: Committed | None, checkpoint: Checkpoint | None = CHECKPOINT) -> Decision:
    return classify(Assigned(committed, BEGINNING, END), checkpoint, TOPIC_ID)


def ours(offset: int) -> Committed:
    return Committed(offset, ours=True)


def foreign(offset: int) -> Committed:
    return Committed(offset, ours=False)


def from_start(case: Case, *, replay_until: int | None) -> Decision:
    """Give the decision to fold all orders again, on a topic that lost its first records."""
    return Decision(case, BEGINNING, refold_from=0, fill=True, replay_until=replay_until)


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


def test_a_reset_to_the_start_folds_all_again() -> None:
    """A rewind to the first record that the topic still has folds all orders again, and fills in others."""
    assert decide(foreign(BEGINNING)) == from_start(Case.REWIND_TO_START, replay_until=500)


def test_a_whole_topic_needs_no_filling() -> None:
    """Where the topic still has its first record, a rewind to it scans no store for missing orders."""
    whole = Assigned(foreign(0), 0, END)
    decision = classify(whole, CHECKPOINT, TOPIC_ID)
    assert decision == Decision(Case.REWIND_TO_START, 0, refold_from=0, replay_until=500)
    assert classify(Assigned(None, 0, END), None, TOPIC_ID) == Decision(Case.FIRST_START, 0, refold_from=0)


def test_a_reset_to_the_start_counts_also_where_kafka_acknowledged_it() -> None:
    """Where a reset could be no move or a rewind to the start it is the rewind, which is never wrong."""
    checkpoint = CHECKPOINT._replace(acknowledged_offset=BEGINNING)
    assert decide(foreign(BEGINNING), checkpoint) == from_start(Case.REWIND_TO_START, replay_until=500)


@pytest.mark.parametrize("offset", [101, 479, 481, 499])
def test_a_reset_part_of_the_way_folds_again_from_there(offset: int) -> None:
    """A rewind part of the way folds the orders with events at or past its offset again."""
    assert decide(foreign(offset)) == Decision(
        Case.REWIND_PART_WAY, offset, refold_from=offset, replay_until=500
    )


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
    assert decide(None, None) == from_start(Case.FIRST_START, replay_until=None)
    assert Case.FIRST_START in PLAIN


@pytest.mark.parametrize("committed", [ours(500), foreign(500), foreign(END)])
def test_a_lost_checkpoint_rebuilds_from_the_beginning(committed: Committed) -> None:
    """Tables without a checkpoint can't say how far they got, and Kafka's word for it is not taken."""
    assert decide(committed, None) == from_start(Case.CHECKPOINT_LOST, replay_until=END)


CUT_OFF = CHECKPOINT._replace(refolding=True, refolded=("store-1", UUID(int=7)), replay_until=900)


@pytest.mark.parametrize("committed", [None, ours(500), ours(480), foreign(END), foreign(500)])
def test_a_rewind_that_was_cut_off_goes_on(committed: Committed | None) -> None:
    """What was folded again in part is folded to the end, whatever Kafka's offsets say by then."""
    decision = decide(committed, CUT_OFF)
    assert decision._replace(case=Case.WENT_ON) == Decision(
        Case.WENT_ON, 500, refold_from=500, refolded=CUT_OFF.refolded, replay_until=900
    )


@pytest.mark.parametrize("beginning", [500, 600])
def test_a_rewind_to_the_start_that_was_cut_off_goes_on_with_all_orders(beginning: int) -> None:
    """That it went to the start is told by the offset, also when retention has taken more since."""
    decision = classify(Assigned(ours(500), beginning, END), CUT_OFF, TOPIC_ID)
    resumed = from_start(decision.case, replay_until=900)
    assert decision == resumed._replace(offset=beginning, refolded=CUT_OFF.refolded)


@pytest.mark.parametrize(("offset", "refold_from"), [(BEGINNING, 0), (499, 499)])
def test_a_rewind_further_back_starts_one_that_was_cut_off_anew(offset: int, refold_from: int) -> None:
    """A rewind past an unfinished one folds also what that one had done, and ends where that one would."""
    decision = decide(foreign(offset), CUT_OFF)
    assert (decision.offset, decision.refold_from, decision.refolded) == (offset, refold_from, None)
    assert decision.replay_until == 900


@pytest.mark.parametrize("committed", [None, ours(END), foreign(END), ours(END + 7)])
def test_a_topic_that_ends_before_the_checkpoint_is_read_anew(committed: Committed | None) -> None:
    """Where Kafka lost its end, its successors lie at offsets that were passed: all is read again."""
    checkpoint = CHECKPOINT._replace(next_offset=END + 7)
    assert decide(committed, checkpoint) == from_start(Case.TOPIC_CUT_SHORT, replay_until=None)


@pytest.mark.parametrize("committed", [None, ours(99), foreign(50), foreign(BEGINNING + 7), foreign(END)])
def test_records_gone_before_they_were_applied_come_from_the_store(committed: Committed | None) -> None:
    """A topic that begins after the checkpoint is gone on with from its beginning, what it lost filled in."""
    decision = decide(committed, CHECKPOINT._replace(next_offset=BEGINNING - 1))
    assert decision == Decision(Case.RECORDS_LOST, BEGINNING, fill=True)


def test_a_rewind_to_the_start_of_a_topic_that_lost_records_is_one() -> None:
    """Where retention took records that were never applied, a reset to the start still folds all again."""
    checkpoint = CHECKPOINT._replace(next_offset=BEGINNING - 1)
    assert decide(foreign(BEGINNING), checkpoint) == from_start(Case.REWIND_TO_START, replay_until=99)


def test_a_topic_made_anew_needs_a_rebuild() -> None:
    """Offsets of a deleted topic say nothing of the new one under its name."""
    with pytest.raises(RebuildNeeded, match="made anew"):
        classify(Assigned(ours(500), BEGINNING, END), CHECKPOINT, UUID(int=2))
