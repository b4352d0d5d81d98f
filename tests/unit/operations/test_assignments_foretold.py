"""What a dry run foretells and where lag counts from, over every kind of input that an assignment has."""

from collections.abc import Iterator
from itertools import product
from uuid import UUID

import pytest

from messaging import Assigned, Committed
from operations.replay import Effect, Offsets
from operations.replay.forecast import EFFECTS, foretell
from operations.status.lag import place_of
from readmodels.assignment import Case, Checkpoint, Decision, RebuildNeeded, classify

TOPIC_ID, OTHER_ID = UUID(int=1), UUID(int=2)
END = 100
BEGINNINGS = (0, 20)
OFFSETS = (0, 10, 20, 40, 60, 80, END, 120)

# Spelled out, not taken from the code: a case that means something else to the operator has to be said here.
WORDS = {
    Case.CHECKPOINT_LOST: "none: it has not started yet",
    Case.NO_MOVE: "none: it is there",
    Case.REWIND_TO_START: "rewinds to the start",
    Case.REWIND_PART_WAY: "rewinds part of the way",
    Case.SKIP_REFUSED: "none: a move ahead is refused",
    Case.COMMIT_LOST: "none: the topic has no such offset",
    Case.RECORDS_LOST: "none: what the topic has lost comes from the store",
    Case.TOPIC_CUT_SHORT: "reads all again: the topic ends before the checkpoint",
}


def checkpoints() -> Iterator[Checkpoint | None]:
    yield None
    for topic_id, next_offset, acknowledged, refolding, until in product(
        (TOPIC_ID, OTHER_ID), (0, 10, 20, 60, END, 120), (None, 40, 60), (False, True), (None, 90)
    ):
        yield Checkpoint(topic_id, next_offset, 1, acknowledged, refolding, None, until)


def inputs() -> Iterator[tuple[Assigned, Checkpoint | None]]:
    committed = [None, *(Committed(at, ours=ours) for at, ours in product(OFFSETS, (True, False)))]
    for found, beginning, checkpoint in product(committed, BEGINNINGS, checkpoints()):
        yield Assigned(found, beginning, END), checkpoint


def decided(kafka: Assigned, checkpoint: Checkpoint | None) -> Decision | None:
    """Return what the projector does; None when it refuses the topic."""
    try:
        return classify(kafka, checkpoint, TOPIC_ID)
    except RebuildNeeded:
        return None


def test_lag_goes_by_the_place_that_the_projector_goes_on_from() -> None:
    """Whatever Kafka and the checkpoint say; of a topic that the projector refuses nothing is applied."""
    for kafka, checkpoint in inputs():
        decision = decided(kafka, checkpoint)
        due = kafka.beginning if decision is None else decision.offset
        assert place_of(kafka, checkpoint, TOPIC_ID) == due, (kafka, checkpoint)


def test_a_dry_run_foretells_what_the_projector_does() -> None:
    """Whatever offset a tool commits, the words are the case's, and it rewinds where orders are folded."""
    told = set()
    for kafka, checkpoint in inputs():
        if kafka.committed is None or kafka.committed.ours:
            continue
        to, known = kafka.committed.offset, Offsets(kafka.beginning, kafka.end, None)
        decision = decided(kafka, checkpoint)
        if decision is None:
            with pytest.raises(RebuildNeeded):
                foretell(to, known, checkpoint, TOPIC_ID)
            continue
        assert foretell(to, known, checkpoint, TOPIC_ID) == decision, (kafka, checkpoint)
        effect = EFFECTS[decision.case]
        assert effect == WORDS[decision.case], (kafka, checkpoint)
        # What an unfinished rewind folds, it folds without a reset, too.
        if checkpoint is not None and not checkpoint.refolding:
            assert effect.rewinds == (decision.refold_from is not None), (kafka, checkpoint)
        told.add(effect)
    assert told == set(Effect)
