"""Lines of CSV that no spreadsheet computes."""

import csv
from datetime import UTC, datetime
from io import StringIO
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_service.content_negotiation import Form, form_wanted
from query_service.exports import csv_lines
from query_service.problems import Problem


def read(lines: bytes) -> list[list[str]]:
    return list(csv.reader(StringIO(lines.decode(), newline=""), strict=True))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"])
def test_text_that_looks_like_a_formula_is_text(text: str) -> None:
    """An apostrophe before it makes a spreadsheet show a formula, and not compute it."""
    assert read(csv_lines([[text]])) == [[f"'{text}"]]


def test_values_are_written_plainly() -> None:
    """Nothing is an empty cell, times are UTC, numbers and ids are as they are, fields are JSON."""
    row = [None, datetime(2026, 3, 1, 12, tzinfo=UTC), -5, UUID(int=1), {"a": "1"}, [1, 2]]
    assert read(csv_lines([row])) == [
        ["", "2026-03-01T12:00:00Z", "-5", str(UUID(int=1)), '{"a":"1"}', "[1,2]"]
    ]


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1), min_size=1))
def test_what_is_written_can_be_read(rows: list[list[str]]) -> None:
    """Quotes, commas and line ends come back as they were; no cell begins as a formula does."""
    back = read(csv_lines(rows))
    assert [[cell.removeprefix("'") for cell in row] for row in back] == [
        [cell.removeprefix("'") for cell in row] for row in rows
    ]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in back for cell in row)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, Form.JSON),
        ("*/*", Form.JSON),
        ("text/csv", Form.CSV),
        ("TEXT/CSV; charset=utf-8", Form.CSV),
        ("text/html, text/*;q=0.5, */*;q=0.1", Form.CSV),
        ("application/json;q=0.2, application/x-ndjson", Form.NDJSON),
        ("text/csv;q=0, */*;q=0.5", Form.JSON),
    ],
)
def test_the_form_goes_by_the_accept_header(accept: str | None, form: Form) -> None:
    """The form that is liked best is given; without a wish it is JSON."""
    assert form_wanted(accept) is form


@pytest.mark.parametrize("accept", ["text/html", "text/csv;q=0", "text/csv;q=x", ";;,"])
def test_a_form_that_there_is_not_is_refused(accept: str) -> None:
    """Who can take none of the forms is told which there are."""
    with pytest.raises(Problem, match="text/csv"):
        form_wanted(accept)
