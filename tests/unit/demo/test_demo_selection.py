"""What the demo makes up."""

from collections import Counter

import pytest

from demo.selection import Choice, Correction, cashier_of, choose, order_id_of

BASKETS = range(31_198_570_000, 31_198_570_000 + 20_000)


def test_about_one_percent_is_voided_and_two_corrected() -> None:
    """A seeded 1 % of the baskets is voided and 2 % are corrected, about half of these by a removal."""
    choices = [choose(basket, 5) for basket in BASKETS]
    corrections = Counter(choice.correction for choice in choices)
    assert 150 < sum(choice.voided for choice in choices) < 250
    assert 330 < corrections[Correction.removal] + corrections[Correction.undo] < 470
    assert min(corrections.values()) > 120


@pytest.mark.parametrize("line_count", [1, 2, 7])
def test_a_removal_leaves_a_line(line_count: int) -> None:
    """A removal takes a line that is there, and never the only one."""
    for basket in BASKETS:
        choice = choose(basket, line_count)
        if choice.correction is Correction.removal:
            assert 0 <= choice.line < line_count
            assert line_count > 1
        else:
            assert choice.line == -1


def test_the_choices_are_stable() -> None:
    """The same basket has the same order id, choice and cashier in every version of the demo."""
    assert str(order_id_of(31_198_570_044)) == "925c49e4-fd6d-5cea-b30f-94fdf64ef89c"
    assert next(basket for basket in BASKETS if choose(basket, 5).voided) == 31_198_570_119
    corrected = next(basket for basket in BASKETS if choose(basket, 5).correction is not Correction.none)
    assert (corrected, choose(corrected, 5)) == (31_198_570_032, Choice(False, Correction.undo, -1))
    assert cashier_of(330, 11) == "cashier-330-4"
