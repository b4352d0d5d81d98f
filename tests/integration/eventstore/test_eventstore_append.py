import asyncio
import json
import random
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from commands import ORDERS
from eventstore import (
    Append,
    Batch,
    ClockWentBack,
    Connection,
    NewEvent,
    OutcomeConflict,
    StreamKey,
    VersionConflict,
)
from harness.waiting import eventually
from integration.eventstore.tallies import (
    MIDNIGHT,
    STORE,
    added,
    appending,
    at,
    fill,
    message,
    refusal,
    snapshot,
    statements_of,
    stream,
    versions,
)


async def test_append_numbers_a_streams_events_from_one(conn: Connection) -> None:
    """The events of a stream get the versions 1..n, over appends of one and of several events."""
    key = stream()
    await STORE.append(conn, Batch(appends=[appending(key, 0, added(), added())]))
    await STORE.append(conn, Batch(appends=[appending(key, 2)]))
    assert await versions(conn, key) == [1, 2, 3]


async def test_append_stores_events_as_given(conn: Connection) -> None:
    """An event comes back with its id, type, payload, metadata and both times."""
    key = stream()
    event = NewEvent(uuid4(), "Added", 2, '{"amount": 7, "note": "ünï"}', '{"actor": "kim"}', at(-5))
    await STORE.append(conn, Batch(appends=[appending(key, 0, event, recorded_at=at(1))]))
    (stored,) = await STORE.history(conn, key)
    assert (stored.event_id, stored.event_type, stored.schema_version) == (event.event_id, "Added", 2)
    assert (stored.tenant_id, stored.aggregate_id, stored.version) == (*key, 1)
    assert (stored.payload, stored.metadata) == ({"amount": 7, "note": "ünï"}, {"actor": "kim"})
    assert (stored.occurred_at, stored.recorded_at) == (at(-5), at(1))


@pytest.mark.parametrize("expected_version", [0, 1, 3, 4])
async def test_append_needs_the_expected_version(conn: Connection, expected_version: int) -> None:
    """An append is refused when the stream has passed its expected version, or has no predecessor for it."""
    key = stream()
    await fill(conn, key, 2)
    with pytest.raises(VersionConflict) as refused:
        await STORE.append(conn, Batch(appends=[appending(key, expected_version, recorded_at=at(9))]))
    assert refused.value.keys == {key}
    assert await versions(conn, key) == [1, 2]


async def test_a_conflict_stores_nothing_of_the_batch(conn: Connection, admin: Connection) -> None:
    """One stale stream refuses the whole batch, with its outcomes and messages, and alone is named."""
    stale, fresh = stream(), stream()
    await fill(conn, stale, 1)
    batch = Batch(
        appends=[appending(fresh), appending(stale)],
        outcomes=[refusal(fresh)],
        messages=[message()],
    )
    with pytest.raises(VersionConflict) as refused:
        await STORE.append(conn, batch)
    assert refused.value.keys == {stale}
    assert await versions(conn, fresh) == []
    assert await admin.fetchval("SELECT count(*) FROM command_outcomes") == 0
    assert await admin.fetchval("SELECT count(*) FROM outbox") == 0


async def test_unique_refuses_a_rival_that_commits_meanwhile(conn: Connection, database: Any) -> None:
    """A rival's version committed after the append began is refused, and its stream alone is named."""
    contested, other = stream(), stream()
    rival = await asyncpg.connect(database.dsn("command_service"))
    transaction = rival.transaction()
    await transaction.start()
    await STORE.append(rival, Batch(appends=[appending(contested)]))
    second = asyncio.create_task(
        STORE.append(conn, Batch(appends=[appending(other), appending(contested)])),
    )
    await _until_waiting(rival, conn)
    await transaction.commit()
    with pytest.raises(VersionConflict) as refused:
        await second
    assert refused.value.keys == {contested}
    assert await versions(conn, contested) == [1]
    assert await versions(conn, other) == []
    await rival.close()


async def test_an_outcome_without_events_needs_its_stream_unchanged(conn: Connection) -> None:
    """An outcome that was decided on a version is stored only while the stream is still at it."""
    key, missing = stream(), stream()
    await fill(conn, key, 2)
    await STORE.append(conn, Batch(unchanged={key: 2, missing: 0}, outcomes=[refusal(key), refusal(missing)]))
    for unchanged, culprit in [({key: 1}, key), ({key: 3}, key), ({key: 2, missing: 1}, missing)]:
        with pytest.raises(VersionConflict) as refused:
            await STORE.append(conn, Batch(unchanged=unchanged, outcomes=[refusal(key)]))
        assert refused.value.keys == {culprit}
    assert await conn.fetchval("SELECT count(*) FROM command_outcomes") == 2


async def test_a_command_has_one_outcome(conn: Connection) -> None:
    """A second outcome of a command refuses its batch and names the command; another tenant's is its own."""
    key, command_id = stream("store-1"), uuid4()
    await STORE.append(conn, Batch(outcomes=[refusal(key, command_id)]))
    await STORE.append(conn, Batch(outcomes=[refusal(stream("store-2"), command_id)]))
    with pytest.raises(OutcomeConflict) as refused:
        await STORE.append(
            conn, Batch(appends=[appending(key)], outcomes=[refusal(key), refusal(key, command_id)])
        )
    assert refused.value.commands == {("store-1", command_id)}
    assert await versions(conn, key) == []


async def test_recorded_at_never_runs_backwards(conn: Connection) -> None:
    """Events recorded before the one they follow are refused; the same instant is not before."""
    key = stream()
    await STORE.append(conn, Batch(appends=[appending(key, 0, recorded_at=at(5))]))
    await STORE.append(conn, Batch(appends=[appending(key, 1, recorded_at=at(5))]))
    with pytest.raises(ClockWentBack):
        await STORE.append(conn, Batch(appends=[appending(key, 2, recorded_at=at(4))]))
    assert await versions(conn, key) == [1, 2]


async def test_the_outbox_keeps_the_batchs_order(conn: Connection, admin: Connection) -> None:
    """Messages get their ids in the order of the batch and are stored byte for byte, tombstones included."""
    values = [str(n).encode() for n in range(300)] + [b"\x00\xff", None]
    batch = Batch(messages=[message(value, shard=n % 16) for n, value in enumerate(values)])
    await STORE.append(conn, batch)
    rows = await admin.fetch("SELECT shard, topic, key, headers::text, value FROM outbox ORDER BY id")
    assert [row["value"] for row in rows] == values
    assert [row["shard"] for row in rows] == [n % 16 for n in range(len(values))]
    assert set(rows[0].items()) >= {("topic", "tallies.events"), ("key", b"key"), ("headers", "[]")}


@pytest.mark.parametrize("size", [1, 400])
async def test_an_append_is_a_handful_of_statements(conn: Any, size: int) -> None:
    """A batch takes one statement a table, whether it holds one stream or hundreds."""
    for count in (2, size):  # the first append also lets asyncpg look up the types that it meets
        keys = [stream(f"store-{n % 7}") for n in range(count)]
        batch = Batch(
            appends=[appending(key, 0, added(), added(), added()) for key in keys],
            outcomes=[refusal(key) for key in keys],
            messages=[message() for _ in keys],
        )
        async with statements_of(conn) as statements:
            await STORE.append(conn, batch)
    assert len(statements) == 3  # BEGIN, all of it, COMMIT
    loaded = await STORE.load_many(conn, keys)
    assert {state.version for state in loaded.values()} == {3}


async def test_positions_follow_versions(conn: Connection) -> None:
    """Within a stream a higher version has a higher position, also over many streams in one batch."""
    keys = [stream(f"store-{n % 3}") for n in range(50)]
    for expected_version in (0, 4):
        events = [added() for _ in range(4)]
        await STORE.append(conn, Batch(appends=[appending(key, expected_version, *events) for key in keys]))
    for key in keys:
        assert await versions(conn, key) == list(range(1, 9))


async def test_rivals_in_any_order_never_deadlock(pool: asyncpg.Pool) -> None:
    """Batches that name the same streams in different orders wait for each other but never in a circle."""
    keys = [stream(f"store-{n % 5}") for n in range(40)]
    shuffle = random.Random(7)  # noqa: S311 - an order of keys, not a secret

    async def write(order: list[StreamKey]) -> bool:
        async with pool.acquire() as connection:
            try:
                await STORE.append(connection, Batch(appends=[appending(key) for key in order]))
            except VersionConflict:
                return False
            return True

    won = await asyncio.gather(*(write(shuffle.sample(keys, len(keys))) for _ in range(60)))
    assert won.count(True) == 1


async def test_an_append_joins_the_callers_transaction(conn: Connection) -> None:
    """Within a transaction of the caller's, a refused append leaves the rest of it alive."""
    key, other = stream(), stream()
    async with conn.transaction():
        await STORE.append(conn, Batch(appends=[appending(key)]))
        with pytest.raises(VersionConflict):
            await STORE.append(conn, Batch(appends=[appending(key), appending(other)]))
        await STORE.append(conn, Batch(appends=[appending(key, 1)]))
    assert await versions(conn, key) == [1, 2]
    assert await versions(conn, other) == []


async def test_a_batch_names_streams_and_commands_once(conn: Connection) -> None:
    """A stream or a command named twice in a batch, or an append without events, is the caller's defect."""
    key, command_id = stream(), uuid4()
    for batch in (
        Batch(appends=[appending(key), appending(key, 1)]),
        Batch(outcomes=[refusal(key, command_id), refusal(key, command_id)]),
        Batch(appends=[Append(key, 0, [], MIDNIGHT)]),
    ):
        with pytest.raises(ValueError, match=r"twice|needs events"):
            await STORE.append(conn, batch)


async def test_codecs_of_the_connection_make_no_difference(conn: Any) -> None:
    """A connection that decodes JSON by itself still stores and gives JSON as it is."""
    await conn.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    await conn.set_type_codec("json", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    key = stream()
    await STORE.append(conn, Batch(appends=[appending(key)], messages=[message()], outcomes=[refusal(key)]))
    (event,) = await STORE.history(conn, key)
    assert event.payload == {"amount": 1}
    assert event.occurred_at == MIDNIGHT


async def _until_waiting(observer: Connection, waiter: Any) -> None:
    waiting = "SELECT cardinality(pg_blocking_pids($1)) > 0"
    await eventually(lambda: observer.fetchval(waiting, waiter.get_server_pid()), deadline=10)


async def test_aggregate_types_have_their_streams_apart(conn: Connection) -> None:
    """One tenant and id name a stream of each type, and neither sees versions or events of the other."""
    key = stream()
    await fill(conn, key, 3)
    await snapshot(conn, key, 3)
    assert (await ORDERS.store.load(conn, key)).version == 0
    assert await ORDERS.store.history(conn, key) == []
    assert await ORDERS.store.streams(conn, None, 10) == []
    assert await ORDERS.store.newest_versions(conn, [key]) == {}
    assert await ORDERS.store.find_event_ids(conn, [(key, 1)]) == {}
    # An order's first event, where the tally has three.
    event = NewEvent(uuid4(), "DiscountRemoved", 1, "{}", "{}", MIDNIGHT)
    await ORDERS.store.append(conn, Batch(appends=[Append(key, 0, [event], MIDNIGHT)]))
    with pytest.raises(VersionConflict):
        await ORDERS.store.append(conn, Batch(appends=[Append(key, 3, [event], MIDNIGHT)]))
    assert await ORDERS.store.newest_versions(conn, [key]) == {key: 1}
    assert await STORE.newest_versions(conn, [key]) == {key: 3}
