"""A place in a topic as text."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging import BadVector, Vector
from messaging.topic_position import LONGEST_VECTOR, MOST_PARTITIONS

ID = UUID(int=1)
VECTORS = st.builds(
    Vector,
    st.uuids(),
    st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=MOST_PARTITIONS // 3).map(tuple),
)
TEXTS = st.text(st.sampled_from("AQ_-.0123456789 \n٣"), max_size=60)


@given(VECTORS)
def test_a_vector_is_read_as_it_was_written(vector: Vector) -> None:
    """Its text gives the vector back, needs no escaping anywhere, and stays below the bound."""
    text = str(vector)
    assert Vector.parse(text) == vector
    assert text.isascii()
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert Vector.of(vector.topic_id, vector.positions) == vector
    assert len(text) <= LONGEST_VECTOR


@given(TEXTS)
def test_a_text_is_the_text_of_a_vector_or_refused(text: str) -> None:
    """There is one way to write each vector; anything else is refused."""
    try:
        vector = Vector.parse(text)
    except BadVector:
        return
    assert str(vector) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AAAAAAAAAAAAAAAAAAAAAQ",
        "AAAAAAAAAAAAAAAAAAAAAQ.",
        "AAAAAAAAAAAAAAAAAAAAAR.1",
        "AAAAAAAAAAAAAAAAAAAAAQ.01",
        "AAAAAAAAAAAAAAAAAAAAAQ.-1",
        "AAAAAAAAAAAAAAAAAAAAAQ.9223372036854775808",
        "AAAAAAAAAAAAAAAAAAAAAQ.1\n",
        "AAAAAAAAAAAAAAAAAAAAAQ" + ".1" * (MOST_PARTITIONS + 1),
        "AAAAAAAAAAAAAAAAAAAAAQ" + ".123456789" * 900,
    ],
)
def test_what_is_no_vector_is_refused(text: str) -> None:
    """A missing or odd id, an offset written otherwise or out of range, and too much of anything."""
    assert Vector.parse("AAAAAAAAAAAAAAAAAAAAAQ.1") == Vector(ID, (1,))
    with pytest.raises(BadVector):
        Vector.parse(text)
