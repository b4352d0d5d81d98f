from hypothesis import given
from hypothesis import strategies as st

from eventstore import Aggregate


def _evolve(state: tuple[int, ...], event: int) -> tuple[int, ...]:
    return (*state, event)


@given(stored=st.lists(st.integers()), new=st.lists(st.integers()))
def test_an_aggregate_folds_all_and_keeps_the_new(stored: list[int], new: list[int]) -> None:
    """Applied and recorded events are folded and counted alike; only recorded ones are popped, and once."""
    aggregate = Aggregate[tuple[int, ...], int]((), _evolve)
    for event in stored:
        aggregate.apply(event)
    for event in new:
        aggregate.record(event)
    assert aggregate.state == (*stored, *new)
    assert aggregate.version == len(stored) + len(new)
    assert aggregate.pop_events() == tuple(new)
    assert aggregate.pop_events() == ()
    assert aggregate.version == len(stored) + len(new)


def test_an_aggregate_goes_on_from_a_loaded_state() -> None:
    """A state that was loaded at a version goes on counting from it."""
    aggregate = Aggregate[tuple[int, ...], int]((1, 2), _evolve, version=2)
    aggregate.record(3)
    assert (aggregate.state, aggregate.version) == ((1, 2, 3), 3)
