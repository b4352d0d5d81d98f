"""What a replay would do, and how far it is."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from operations.replay import Effect, Offsets
from operations.replay.forecast import Checkpoint, foretell
from operations.replay.progress import ReplayProgress, progress_of
from operations.replay.record import Planned

KNOWN = Offsets(beginning=10, end=100, committed=90)


def checkpoint(
    next_offset: int, *, epoch: int = 1, acknowledged: int | None = None, refolding: bool = False
) -> Checkpoint:
    return Checkpoint(next_offset, epoch, acknowledged, refolding, None)


@pytest.mark.parametrize(
    ("to", "found", "effect"),
    [
        (10, checkpoint(90), Effect.TO_START),
        (10, checkpoint(10), Effect.NO_MOVE),
        (50, checkpoint(90), Effect.PART_WAY),
        (50, checkpoint(90, acknowledged=50), Effect.NO_MOVE),
        (90, checkpoint(90), Effect.NO_MOVE),
        (91, checkpoint(90), Effect.REFUSED),
        (101, checkpoint(90), Effect.NO_MOVE),
        (10, checkpoint(5), Effect.TO_START),
        (50, checkpoint(5), Effect.RECORDS_LOST),
        (50, None, Effect.FIRST_START),
    ],
)
def test_the_effect_of_a_reset_is_foretold(to: int, found: Checkpoint | None, effect: Effect) -> None:
    """An operator is told what the projector decides when it is assigned the partition."""
    assert foretell(to, KNOWN, found) is effect


def planned(partition: int, to: int, end: int | None, *, rewinds: bool = True) -> Planned:
    return Planned(partition, end, to, end, None if end is None else 4, 1, rewinds)


def test_a_partition_counts_once_it_was_assigned_after_the_reset() -> None:
    """Before that its checkpoint still is where it was, and says nothing of the replay."""
    plan = [planned(0, 20, 90), planned(1, 0, 30), planned(2, 50, 50, rewinds=False)]
    before = {0: checkpoint(90, epoch=4), 1: checkpoint(30, epoch=4), 2: checkpoint(50, epoch=4)}
    assert progress_of(plan, before) == ReplayProgress(3, 0, 0, 0, 0, 100)
    under_way = {
        0: checkpoint(60, epoch=5),
        1: checkpoint(0, epoch=5, refolding=True),
        2: checkpoint(50, epoch=5),
    }
    assert progress_of(plan, under_way) == ReplayProgress(3, 3, 1, 1, 40, 100)
    after = {number: checkpoint(95, epoch=6) for number in range(3)}
    assert progress_of(plan, after) == ReplayProgress(3, 3, 3, 0, 100, 100)


def test_a_read_model_that_had_not_started_is_level_once_it_has() -> None:
    """Without a checkpoint of before there is nothing to make up for."""
    assert astuple(progress_of([planned(0, 5, None)], {})) == (1, 0, 0, 0, 0, 0)
    assert astuple(progress_of([planned(0, 5, None)], {0: checkpoint(0)})) == (1, 1, 1, 0, 0, 0)
