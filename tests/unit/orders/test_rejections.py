"""The one list of rejection codes, and its page in the docs."""

import re
from pathlib import Path

import pytest

from orders import Rejected, RejectionCode

DOCS = Path(__file__).parents[3] / "docs" / "rejections.md"


def test_the_docs_list_exactly_the_codes_and_their_sentences() -> None:
    """docs/rejections.md has one row a code, in the list's order, with the list's own sentence."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (.+) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(code.value, code.sentence) for code in RejectionCode]


@pytest.mark.parametrize("code", RejectionCode)
def test_every_code_has_a_sentence(code: RejectionCode) -> None:
    """A code is lower case with underscores; its sentence begins with a capital and ends with a full stop."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
    assert re.fullmatch(r"[A-Z].+\.", code.sentence)


def test_a_rejection_says_its_codes_sentence_or_the_facts() -> None:
    """Without a message of its own a rejection says what its code means."""
    assert Rejected(RejectionCode.EMPTY_ORDER).message == RejectionCode.EMPTY_ORDER.sentence
    told = Rejected(RejectionCode.UNKNOWN_LINE, "The order has no line 9.")
    assert (told.message, str(told)) == ("The order has no line 9.", "unknown_line: The order has no line 9.")
