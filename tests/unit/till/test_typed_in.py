"""What a person types, and what is told of it."""

import pytest

from till import app
from till.errors import TillError
from till.times import parse_time


@pytest.mark.parametrize("text", ["yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00"])
def test_a_time_that_has_no_name_in_utc_is_told(text: str) -> None:
    """What names no time, or one past the ends of the calendar, is refused with advice."""
    with pytest.raises(TillError, match="is no time") as caught:
        parse_time(text)
    assert caught.value.advice


def test_an_error_is_printed_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an error quotes is told letter by letter: brackets are no markup."""

    def fail() -> None:
        raise TillError("'[/b] [bold]x' is no order id.", "Try [0].")

    monkeypatch.setattr(app, "app", fail)
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert "'[/b] [bold]x' is no order id." in told
    assert "Try [0]." in told
