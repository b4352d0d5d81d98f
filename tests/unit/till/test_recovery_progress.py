"""What a person who waits for a recovery sees of it."""

import pytest

from operations.recover import Step
from till.recovery_progress import steps_shown

RELAY = "the relay, which must run and send them"


def test_each_step_has_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a step, as far as it got, that fits a terminal; who is waited for is named once."""
    with steps_shown() as show:
        for read in (2_000, 4_000, 110_000):
            show(Step("orders.commands is read", read, 110_000))
        show(Step("events are put out", 20_000, 71_500, RELAY))
        show(Step("events are put out", 20_000, 71_500, RELAY))
        show(Step("events are put out", 40_000, 71_500))
    told = capsys.readouterr().err
    assert told.count("orders.commands is read") == 1
    assert "110,000/110,000" in told
    assert "40,000/71,500" in told
    assert told.count(f"It waits for {RELAY}.") == 1
    assert max(map(len, told.splitlines())) <= 80
