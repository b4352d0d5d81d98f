"""What a replay would do, and how far it is."""

from dataclasses import astuple
from uuid import UUID

from operations.replay.progress import ReplayProgress, progress_of
from operations.replay.record import Planned
from readmodels.assignment import Checkpoint


def checkpoint(next_offset: int, *, epoch: int = 1, refolding: bool = False) -> Checkpoint:
    return Checkpoint(UUID(int=1), next_offset, epoch, None, refolding)


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
