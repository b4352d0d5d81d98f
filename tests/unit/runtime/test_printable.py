"""Texts from outside on a terminal."""

import json

import pytest

from runtime.printable import printable
from till.output import print_json


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Tee für 2 €", "Tee für 2 €"),
        ("\x1b]0;you are root\x07", r"\x1b]0;you are root\x07"),
        ("one\r\ntwo\t", r"one\r\ntwo\t"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202ecba", r"abc\u202ecba"),
        ("\ud800", r"\ud800"),
        (b"\xff\x00tea", r"\xff\x00tea"),
        ("Öl".encode(), "Öl"),
        (b"", ""),
        (None, ""),
    ],
)
def test_nothing_steers_a_terminal(raw: str | bytes | None, shown: str) -> None:
    """What is printable stands as it is, and everything else as an escape: no bytes reach a terminal raw."""
    assert printable(raw) == shown


def test_json_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON says what it was given, however it is read, with nothing in it that a terminal would obey."""
    value = {"a\x9b": ["\x1b[31m", "\u202e", "\x7f", "é€😀", "\U000e0001", 'a "\\ b']}
    print_json(value)
    told = capsys.readouterr().out
    assert json.loads(told) == value
    assert {char for char in told if not char.isprintable()} == {"\n"}
    assert "é€😀" in told
