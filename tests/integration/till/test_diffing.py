"""diff: what differs between an order at one point and at another."""

from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from integration.till.conftest import Till
from integration.till.test_looking_at_orders import ORDER_ID, store_order
from till.app import app
from till.errors import TillError


@pytest.fixture
def stored(database: Any) -> Any:
    """Give a database that holds the order of test_looking_at_orders."""
    store_order(database.dsn())
    return database


@pytest.mark.usefixtures("stored")
def test_a_difference_is_told_line_by_line(till: Till) -> None:
    """Added and removed lines, changed fields and totals are told, by versions and by times, either way."""
    found = till("diff", str(ORDER_ID), "2", "4")
    assert [(line["line_id"], line["net"]) for line in found["lines_added"]] == [("2", "3.00")]
    (apple,) = found["lines_changed"]
    assert {"field": "discount.authorised_by", "before": None, "after": "max"} in apple["changes"]
    assert found["totals"][-1] == {"field": "total", "before": "3.00", "after": "5.50"}
    by_time = till("diff", str(ORDER_ID), "2026-03-02T10:30:00Z", "2026-03-02T12:30:00Z")
    assert by_time == found
    back = till("diff", str(ORDER_ID), "2026-03-01T12:03:00Z", "2", "--clock", "occurred")
    assert (back["from_version"], back["to_version"], len(back["lines_removed"])) == (4, 2, 1)
    assert till("diff", str(ORDER_ID), "6", "6")["changes"] == []


@pytest.mark.usefixtures("till", "stored")
def test_a_person_gets_a_table() -> None:
    """The table names what changed, how it was and how it is."""
    told = CliRunner().invoke(app, ["diff", str(ORDER_ID), "4", "6"])
    assert told.exit_code == 0, told.output
    lines = [" ".join(line.split()) for line in told.stdout.splitlines()]
    assert lines[0] == f"Order {ORDER_ID}, version 4 → 6"
    assert "order status open confirmed" in lines
    assert "totals total 5.50 2.50" in lines
    assert any(line.startswith("line 2: Pear [ripe] line 2 at 1.50, net 3.00") for line in lines)


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["1", "7"], "it is at version 6"),
        (["0", "1"], "is no version"),
        (["9" * 20, "1"], "is no version"),
        (["1", "yesterday"], "is no time"),
        (["2026-03-01T11:00:00Z", "1"], "did not exist"),
    ],
)
def test_a_point_that_is_none_is_told(till: Till, arguments: list[str], told: str) -> None:
    """A version or time at which there was no order gives an error that says so, with advice."""
    with pytest.raises(TillError, match=told) as caught:
        till("diff", str(ORDER_ID), *arguments)
    assert caught.value.advice
    with pytest.raises(TillError):
        till("diff", str(uuid4()), "1", "2")
