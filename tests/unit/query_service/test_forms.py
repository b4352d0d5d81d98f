"""Which form of a list an Accept header gets."""

import pytest

from query_service.content_negotiation import Form, form_wanted
from query_service.problems import Problem


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, Form.JSON),
        ("*/*", Form.JSON),
        ("text/csv", Form.CSV),
        ("text/*", Form.CSV),
        ("Text/CSV; Q=0.5, application/x-ndjson;q=0.4", Form.CSV),
        ("text/csv;q=0.1, application/x-ndjson;q=0.2", Form.NDJSON),
        ("text/csv, application/json", Form.CSV),
        ("application/json, text/csv", Form.JSON),
        ("text/html, */*;q=0.1", Form.JSON),
        # A form that is refused is not taken for what else goes.
        ("application/json;q=0, */*", Form.CSV),
        ("application/*;q=0, */*;q=0.1", Form.CSV),
        ("text/csv;q=0, text/*, application/json;q=0.5", Form.JSON),
        ("*/*;q=0, text/csv", Form.CSV),
        ("*/*;q=0.9, application/json;q=0.1", Form.CSV),
        ("text/csv;q=none, */*;q=0.1", Form.JSON),
    ],
)
def test_the_form_liked_best_is_given(accept: str | None, form: Form) -> None:
    """The greatest quality wins, then the first named; what names a form most precisely counts for it."""
    assert form_wanted(accept) is form


@pytest.mark.parametrize(
    "accept", ["text/html", "text/csv;q=0", "*/*;q=0", "application/json;q=0.0, text/html"]
)
def test_what_is_not_acceptable_is_not_given(accept: str) -> None:
    """Where no form is acceptable, `q=0` being a refusal, the answer is 406."""
    with pytest.raises(Problem) as caught:
        form_wanted(accept)
    assert caught.value.status == 406
