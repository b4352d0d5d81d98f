"""How far a build is, as tenants are told."""

import pytest

from queries.answers import build_of
from readmodels.read_model_status import BuildProgress


@pytest.mark.parametrize(
    ("done", "total", "percent"),
    [(0, None, None), (0, 0, 0), (0, 8, 0), (3, 8, 37), (8, 8, 100), (9, 8, 100)],
)
def test_progress_is_a_percentage(done: int, total: int | None, percent: int | None) -> None:
    """It is null before the total, an estimate, is known, and never more than all of it."""
    assert build_of(BuildProgress("rebuild", "scanning", done, total))["percent_done"] == percent
