import json
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from eventstore import (
    Batch,
    BrokenStream,
    Connection,
    EventStore,
    Loaded,
    NewerSchema,
    NewEvent,
    StreamKey,
    VersionNotFound,
)
from integration.eventstore.tallies import (
    MIDNIGHT,
    STORE,
    TALLY,
    Tally,
    TallyType,
    added,
    appending,
    at,
    fill,
    snapshot,
    statements_of,
    stream,
)


async def test_a_stream_without_events_loads_as_the_initial_state(conn: Connection) -> None:
    """A stream that was never appended to gives the initial state, at version 0 and without times."""
    key = stream()
    assert await STORE.load(conn, key) == Loaded(TALLY.initial_state(*key), 0, None, None)


async def test_load_folds_every_event(conn: Connection) -> None:
    """A load gives the fold, its version, the newest recorded_at and the greatest occurred_at."""
    key = stream()
    events = [added(1, occurred_at=at(1)), added(2, occurred_at=at(7)), added(4, occurred_at=at(3))]
    await STORE.append(conn, Batch(appends=[appending(key, 0, *events, recorded_at=at(9))]))
    loaded = await STORE.load(conn, key)
    assert (loaded.state.total, len(loaded.state.trail)) == (7, 3)
    assert (loaded.version, loaded.recorded_at, loaded.max_occurred_at) == (3, at(9), at(7))


async def test_load_many_gives_each_stream_its_own(conn: Connection) -> None:
    """Many streams load together, with and without snapshots and events, each under its own key."""
    keys = [stream(f"store-{n % 3}") for n in range(9)]
    for count, key in enumerate(keys):
        await fill(conn, key, count)
    await snapshot(conn, keys[5], 3)
    await snapshot(conn, keys[8], 8)
    loaded = await STORE.load_many(conn, keys)
    assert [loaded[key].version for key in keys] == list(range(9))
    for key in keys:
        assert loaded[key].state == (await STORE.load(conn, key)).state
        assert loaded[key].state.aggregate_id == str(key.aggregate_id)
    assert await STORE.load_many(conn, []) == {}


async def test_each_load_is_one_statement(conn: Any) -> None:
    """Snapshot and newer events are read in one statement, so that they always agree (pitfall 17)."""
    keys = [stream(), stream()]
    await fill(conn, keys[0], 12)
    await snapshot(conn, keys[0], 10)
    key = keys[0]
    loads = [
        lambda: STORE.load(conn, key),
        lambda: STORE.load_many(conn, keys),
        lambda: STORE.load_at_version(conn, key, 11),
        lambda: STORE.load_many_at(conn, {key: 11, keys[1]: 0}),
        lambda: STORE.load_as_of(conn, key, at(11)),
        lambda: STORE.load_as_of(conn, key, at(11), "occurred"),
        lambda: STORE.histories(conn, dict.fromkeys(keys, (0, None))),
    ]
    for load in loads:
        await load()  # lets asyncpg look up the types that it meets
    for load in loads:
        async with statements_of(conn) as statements:
            await load()
        assert len(statements) == 1


async def test_a_load_starts_from_the_newest_snapshot(conn: Connection, admin: Connection) -> None:
    """Of several snapshots the newest is taken, and only newer events are folded into it."""
    key = stream()
    await fill(conn, key, 25)
    await snapshot(conn, key, 10)
    await snapshot(conn, key, 20)
    # A mark that no fold could give shows which snapshot a state came from.
    await admin.execute(
        "UPDATE tally_snapshots SET state = jsonb_set(state::jsonb, '{2}', to_jsonb(version * 1000))::json"
    )
    assert (await STORE.load(conn, key)).state.total == 20_000 + sum(range(21, 26))
    assert (await STORE.load_at_version(conn, key, 19)).state.total == 10_000 + sum(range(11, 20))
    assert (await STORE.load_at_version(conn, key, 20)).state.total == 20_000
    assert (await STORE.load_at_version(conn, key, 9)).state.total == sum(range(1, 10))


async def test_snapshots_can_be_deleted(conn: Connection, admin: Connection) -> None:
    """Every load gives the same with snapshots, with some of them and with none."""
    keys = [stream(), stream()]
    for key in keys:
        await fill(conn, key, 25)

    async def everything() -> list[Any]:
        return [
            await STORE.load_many(conn, keys),
            [await STORE.load_at_version(conn, keys[0], version) for version in range(26)],
            [await STORE.load_as_of(conn, keys[0], at(minute)) for minute in range(27)],
            [await STORE.load_as_of(conn, keys[0], at(minute), "occurred") for minute in range(27)],
        ]

    without = await everything()
    for key in keys:
        for version in (10, 20, 25):
            await snapshot(conn, key, version)
    assert await everything() == without
    await admin.execute("DELETE FROM tally_snapshots WHERE version = 20")
    assert await everything() == without
    await admin.execute("DELETE FROM tally_snapshots")
    assert await everything() == without


async def test_a_snapshot_of_another_state_version_is_ignored(conn: Connection, admin: Connection) -> None:
    """A build reads only snapshots of its own state's version, older and newer builds keep theirs beside."""
    key = stream()
    await fill(conn, key, 12)
    await snapshot(conn, key, 10, TallyType(state_version=2))
    await snapshot(conn, key, 10)
    await admin.execute("UPDATE tally_snapshots SET state = '\"another shape\"' WHERE schema_version = 2")
    for loaded in (
        await STORE.load(conn, key),
        await STORE.load_at_version(conn, key, 12),
        await STORE.load_as_of(conn, key, at(99)),
        await STORE.load_as_of(conn, key, at(99), "occurred"),
    ):
        assert loaded.state.total == sum(range(1, 13))
    assert await admin.fetchval("SELECT count(*) FROM tally_snapshots") == 2


async def test_a_snapshot_taken_twice_is_stored_once(conn: Connection) -> None:
    """Two writers may store the same snapshot: the second changes nothing and fails nothing."""
    key = stream()
    await fill(conn, key, 2)
    await snapshot(conn, key, 2)
    await snapshot(conn, key, 2)
    assert await conn.fetchval("SELECT count(*) FROM tally_snapshots") == 1


async def test_a_snapshot_with_another_versions_state_is_refused(conn: Connection, admin: Connection) -> None:
    """A snapshot whose state doesn't carry its version stops the load instead of giving a wrong state."""
    key = stream()
    await fill(conn, key, 3)
    await snapshot(conn, key, 2)
    await admin.execute("UPDATE tally_snapshots SET version = 3")
    with pytest.raises(BrokenStream):
        await STORE.load(conn, key)


async def test_a_gap_in_a_stream_is_refused(conn: Connection, admin: Connection) -> None:
    """A stream that lacks an event, which the store never writes, stops the load."""
    key = stream()
    await fill(conn, key, 3)
    await admin.execute("ALTER TABLE tally_events DISABLE TRIGGER tally_events_insert_only")
    await admin.execute("DELETE FROM tally_events WHERE version = 2")
    with pytest.raises(BrokenStream):
        await STORE.load(conn, key)


async def test_load_at_version_stops_there(conn: Connection) -> None:
    """Version 0 is the initial state; a version that the stream doesn't reach is an error that names it."""
    key, other = stream(), stream()
    await fill(conn, key, 3)
    assert [(await STORE.load_at_version(conn, key, n)).state.total for n in range(4)] == [0, 1, 3, 6]
    with pytest.raises(VersionNotFound) as missing:
        await STORE.load_many_at(conn, {key: 3, other: 1})
    assert missing.value.newest == {other: 0}
    with pytest.raises(ValueError, match="from 0"):
        await STORE.load_at_version(conn, key, -1)


async def test_load_many_at_gives_each_stream_its_version(conn: Connection) -> None:
    """Each stream of a mapping is folded up to its own version."""
    keys = [stream(), stream("store-2"), stream()]
    for key in keys:
        await fill(conn, key, 5)
    loaded = await STORE.load_many_at(conn, dict(zip(keys, [5, 2, 0], strict=True)))
    assert [(loaded[key].version, loaded[key].state.total) for key in keys] == [(5, 15), (2, 3), (0, 0)]


async def test_history_gives_events_in_version_order(conn: Connection) -> None:
    """A history starts after a version, is cut at a limit, and is empty for a stream without events."""
    key = stream()
    await fill(conn, key, 6)
    assert [event.version for event in await STORE.history(conn, key)] == [1, 2, 3, 4, 5, 6]
    assert [event.version for event in await STORE.history(conn, key, after_version=4)] == [5, 6]
    assert [event.version for event in await STORE.history(conn, key, 2, limit=2)] == [3, 4]
    assert await STORE.history(conn, stream()) == []


async def test_histories_give_each_stream_its_range(conn: Connection) -> None:
    """Each stream's events come from after the first version up to the second, or to the newest."""
    keys = [stream(), stream("store-2"), stream()]
    for key in keys[:2]:
        await fill(conn, key, 5)
    ranges = dict(zip(keys, [(1, 3), (4, None), (0, None)], strict=True))
    histories = await STORE.histories(conn, ranges)
    assert [[event.version for event in histories[key]] for key in keys] == [[2, 3], [5], []]
    assert {event.tenant_id for event in histories[keys[1]]} == {"store-2"}


async def test_old_events_are_lifted_on_read(conn: Connection) -> None:
    """An event of an older schema version is folded and given as the newest, and stays as it was written."""
    key = stream()
    old = NewEvent(uuid4(), "Added", 1, '{"by": 5}', "{}", MIDNIGHT)
    await STORE.append(conn, Batch(appends=[appending(key, 0, added(), old)]))
    assert (await STORE.load(conn, key)).state.total == 6
    event = (await STORE.history(conn, key))[1]
    assert (event.schema_version, event.payload) == (2, {"amount": 5, "note": "lifted at 2"})
    stored = await conn.fetchrow("SELECT schema_version, payload FROM tally_events WHERE version = 2")
    assert stored is not None
    assert (stored["schema_version"], json.loads(stored["payload"])) == (1, {"by": 5})


@pytest.mark.parametrize(("event_type", "schema_version"), [("Added", 3), ("Renamed", 1)])
async def test_a_newer_builds_event_stops_every_read(
    conn: Connection, event_type: str, schema_version: int
) -> None:
    """An event with a schema version or a type unknown to this build is never passed over in silence."""
    key = stream()
    newer = NewEvent(uuid4(), event_type, schema_version, "{}", "{}", MIDNIGHT)
    await STORE.append(conn, Batch(appends=[appending(key, 0, newer)]))
    for read in (
        STORE.load(conn, key),
        STORE.load_as_of(conn, key, at(1)),
        STORE.history(conn, key),
    ):
        with pytest.raises(NewerSchema):
            await read


async def test_payload_numbers_are_exact(conn: Connection) -> None:
    """Numbers of a payload come back as int or Decimal with every digit, never through a float."""
    key = stream()
    numbers = '{"amount": 1, "a": 0.1, "b": 12345678901234567890, "c": 1.10, "d": 1234567890.12345678901}'
    event = NewEvent(uuid4(), "Added", 2, numbers, "{}", MIDNIGHT)
    await STORE.append(conn, Batch(appends=[appending(key, 0, event)]))
    (stored,) = await STORE.history(conn, key)
    assert {name: str(value) for name, value in stored.payload.items()} == {
        "amount": "1",
        "a": "0.1",
        "b": "12345678901234567890",
        "c": "1.10",
        "d": "1234567890.12345678901",
    }
    assert isinstance(stored.payload["a"], Decimal)


async def test_tenants_with_the_same_aggregate_id_never_meet(conn: Connection) -> None:
    """Two tenants' streams of one aggregate id have their own versions, states, snapshots and histories."""
    aggregate_id = UUID("00000000-0000-4000-8000-000000000001")
    ours, theirs, nobodys = (StreamKey(tenant, aggregate_id) for tenant in ("store-1", "store-2", "store-3"))
    await fill(conn, ours, 3)
    await fill(conn, theirs, 5)
    await snapshot(conn, theirs, 5)
    loaded = await STORE.load_many(conn, [ours, theirs, nobodys])
    assert [loaded[key].version for key in (ours, theirs, nobodys)] == [3, 5, 0]
    assert [loaded[key].state.tenant_id for key in (ours, theirs, nobodys)] == [
        "store-1",
        "store-2",
        "store-3",
    ]
    assert {event.tenant_id for event in await STORE.history(conn, ours)} == {"store-1"}
    assert (await STORE.load_as_of(conn, nobodys, at(99))).version == 0
    assert (await STORE.load_as_of(conn, ours, at(99), "occurred")).version == 3


def test_snapshots_are_due_at_multiples() -> None:
    """A snapshot is due when an append reaches or passes a multiple of the interval."""
    store: EventStore[Tally] = EventStore(TALLY, snapshot_every=10)
    due = [(0, 9), (9, 10), (10, 19), (8, 25), (19, 19)]
    assert [store.snapshot_due(before, after) for before, after in due] == [False, True, False, True, False]
