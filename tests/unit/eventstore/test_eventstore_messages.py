from hypothesis import given
from hypothesis import strategies as st

from eventstore import SHARDS, decode_headers, encode_headers, shard_of

NAMES = st.text(st.characters(codec="utf-8"))


@given(st.lists(st.tuples(NAMES, st.binary() | NAMES.map(str.encode))))
def test_headers_survive(headers: list[tuple[str, bytes]]) -> None:
    """Headers come back in their order, repeats and bytes that are no UTF-8 included, from ASCII text."""
    text = encode_headers(headers)
    assert text.isascii()
    assert decode_headers(text) == headers


@given(st.binary())
def test_every_key_has_a_shard(key: bytes) -> None:
    """Any key falls into one of the 16 shards."""
    assert 0 <= shard_of(key) < SHARDS == 16


def test_shards_stay_where_they_are() -> None:
    """The shard of a key is the same in every process and every build: rows in an outbox rely on it."""
    keys = [b"", b"a", b"00000000-0000-4000-8000-000000000001", b"\xff\xfe"]
    assert [shard_of(key) for key in keys] == [0, 3, 1, 6]
