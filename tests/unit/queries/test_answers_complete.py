"""What is described of an order is in the answers about it."""

from collections.abc import Collection

import pytest
from pydantic import TypeAdapter

from orders.described_fields import DISCOUNT_FIELDS, LINE_AMOUNTS, LINE_FIELDS, ORDER_FIELDS, TOTALS
from queries.answers import OrderState
from queries.answers.orders import Discount, OrderLine

# Field → why an answer does without it, or has it under another name.
OTHERWISE = {
    "rounding": "the amounts are rounded already",
    "gross": "the sum of the lines' gross",
    "line_discount": "the sum of the lines' discounts",
    "order_discount": "is called discount",
}


@pytest.mark.parametrize(
    ("answer", "described"),
    [
        (OrderState, {*ORDER_FIELDS, *TOTALS} - OTHERWISE.keys()),
        (OrderLine, {*LINE_FIELDS, *LINE_AMOUNTS}),
        (Discount, DISCOUNT_FIELDS),
    ],
)
def test_answers_have_all_described_fields(answer: type, described: Collection[str]) -> None:
    """An answer leaves no field out by oversight: what its model lacks, FastAPI drops in silence."""
    assert {*described} <= TypeAdapter(answer).json_schema()["properties"].keys()
