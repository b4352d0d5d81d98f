from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore import Batch, Connection, StreamKey
from integration.eventstore.tallies import STORE, TALLY, Tally, added, appending, at, fill, snapshot, stream

Times = Sequence[tuple[int, int]]  # of each event: minutes when it occurred, when it was recorded


async def _fill_at(conn: Connection, key: StreamKey, times: Times) -> None:
    for version, (occurred, recorded) in enumerate(times):
        event = added(version + 1, occurred_at=at(occurred))
        await STORE.append(conn, Batch(appends=[appending(key, version, event, recorded_at=at(recorded))]))


async def _prefix(conn: Connection, key: StreamKey, length: int) -> Tally:
    """Fold a prefix without the store's loads: the definition that they are held against."""
    state = TALLY.initial_state(*key)
    for event in (await STORE.history(conn, key))[:length]:
        state = TALLY.evolve_stored(state, event.event_type, event.payload, event.metadata, event.occurred_at)
    return state


def _length(minutes: Sequence[int], limit: int) -> int:
    """Count the longest prefix of times that are all not later than a limit."""
    return next((n for n, minute in enumerate(minutes) if minute > limit), len(minutes))


async def test_as_of_recorded_gives_what_was_known(conn: Connection) -> None:
    """As of a recorded time counts the events recorded by then, that instant included."""
    key = stream()
    await fill(conn, key, 3)
    for minute, version in [(0, 0), (1, 1), (2, 2), (3, 3), (9, 3)]:
        assert (await STORE.load_as_of(conn, key, at(minute))).version == version
    just_before = at(2) - timedelta(microseconds=1)
    assert (await STORE.load_as_of(conn, key, just_before)).version == 1


async def test_a_late_event_holds_back_what_follows(conn: Connection) -> None:
    """By the occurred clock the prefix ends before the first event of a later time, whatever follows."""
    key = stream()
    await _fill_at(conn, key, [(1, 10), (8, 11), (2, 12), (9, 13)])
    for snapshots in ((), (3,), (1, 2, 4)):
        for version in snapshots:
            await snapshot(conn, key, version)
        by_occurred = [(await STORE.load_as_of(conn, key, at(n), "occurred")).version for n in range(11)]
        assert by_occurred == [0, 1, 1, 1, 1, 1, 1, 1, 3, 4, 4]


async def test_a_late_arrival_is_not_known_before_it_is_recorded(conn: Connection) -> None:
    """An event that occurred early but was recorded late is in one clock's past and the other's future."""
    key = stream()
    await _fill_at(conn, key, [(1, 10), (2, 60)])
    assert (await STORE.load_as_of(conn, key, at(30))).version == 1
    assert (await STORE.load_as_of(conn, key, at(30), "occurred")).version == 2


async def test_as_of_needs_a_time_zone(conn: Connection) -> None:
    """A naive time is refused: nobody can tell which moment it means."""
    with pytest.raises(ValueError, match="time zone"):
        await STORE.load_as_of(conn, stream(), at(0).replace(tzinfo=None))


async def test_as_of_starts_from_a_snapshot_where_it_may(conn: Connection, admin: Connection) -> None:
    """A snapshot is used once all its events lie in the prefix, and not a moment before."""
    key = stream()
    await _fill_at(conn, key, [(1, 10), (30, 11), (2, 12)])
    await snapshot(conn, key, 3)
    await admin.execute("UPDATE tally_snapshots SET state = jsonb_set(state::jsonb, '{2}', '1000')::json")
    totals = {
        clock: [(await STORE.load_as_of(conn, key, at(n), clock)).state.total for n in (11, 12, 29, 30)]
        for clock in ("recorded", "occurred")
    }
    assert totals == {"recorded": [3, 1000, 1000, 1000], "occurred": [1, 1, 1, 1000]}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    occurred=st.lists(st.integers(0, 12), min_size=1, max_size=10),
    recorded=st.lists(st.integers(0, 12), min_size=10, max_size=10).map(sorted),
    snapshots=st.sets(st.integers(1, 10), max_size=4),
)
async def test_every_past_equals_the_fold_of_its_prefix(
    conn: Connection, occurred: list[int], recorded: list[int], snapshots: set[int]
) -> None:
    """With any times and snapshots, each version and each moment of both clocks is its prefix's fold."""
    key = stream()
    recorded = recorded[: len(occurred)]
    await _fill_at(conn, key, list(zip(occurred, recorded, strict=True)))
    folds = [await _prefix(conn, key, length) for length in range(len(occurred) + 1)]
    for version in snapshots:
        if version <= len(occurred):
            await snapshot(conn, key, version)
    for version, fold in enumerate(folds):
        assert (await STORE.load_at_version(conn, key, version)).state == fold
    for limit in range(-1, 14):
        known = await STORE.load_as_of(conn, key, at(limit))
        past = await STORE.load_as_of(conn, key, at(limit), "occurred")
        assert known.state == folds[_length(recorded, limit)]
        assert past.state == folds[_length(occurred, limit)]
        for loaded in (known, past):
            times = occurred[: loaded.version]
            assert loaded.max_occurred_at == (at(max(times)) if times else None)
            assert loaded.recorded_at == (at(recorded[loaded.version - 1]) if times else None)
