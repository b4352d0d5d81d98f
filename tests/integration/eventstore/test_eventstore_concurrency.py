import asyncio
from uuid import uuid4

import asyncpg

from eventstore import Append, Batch, Connection, OutcomeConflict, StreamKey, VersionConflict
from integration.eventstore.tallies import STORE, added, appending, at, refusal, stream, versions

WRITERS = 200


async def _add(connection: Connection, key: StreamKey, amount: int) -> None:
    """Load, append, and on a conflict do it again."""
    while True:
        loaded = await STORE.load(connection, key)
        recorded_at = max(at(amount), loaded.recorded_at or at(0))
        append = Append(key, loaded.version, [added(amount)], recorded_at)
        try:
            await STORE.append(connection, Batch(appends=[append]))
        except VersionConflict:
            continue
        return


async def test_concurrent_writers_on_one_stream_lose_nothing(pool: asyncpg.Pool) -> None:
    """200 concurrent writers that retry on a conflict give the versions 1..200, each writer's event once."""
    key = stream()

    async def write(amount: int) -> None:
        async with pool.acquire() as connection:
            await _add(connection, key, amount)

    await asyncio.gather(*(write(amount) for amount in range(WRITERS)))
    async with pool.acquire() as connection:
        events = await STORE.history(connection, key)
        assert await versions(connection, key) == list(range(1, WRITERS + 1))
    assert [event.version for event in events] == list(range(1, WRITERS + 1))
    assert sorted(event.payload["amount"] for event in events) == list(range(WRITERS))


async def test_one_command_at_many_writers_takes_effect_once(pool: asyncpg.Pool) -> None:
    """Of many writers that handle one command at a time, one stores its event, the others nothing."""
    key, command_id = stream(), uuid4()

    async def handle() -> bool:
        async with pool.acquire() as connection:
            while True:
                loaded = await STORE.load(connection, key)
                append = appending(key, loaded.version)
                try:
                    await STORE.append(
                        connection, Batch(appends=[append], outcomes=[refusal(key, command_id)])
                    )
                except VersionConflict:
                    continue
                except OutcomeConflict:
                    return False
                return True

    done = await asyncio.gather(*(handle() for _ in range(60)))
    assert done.count(True) == 1
    async with pool.acquire() as connection:
        assert await versions(connection, key) == [1]


async def test_load_many_gives_one_moment(pool: asyncpg.Pool) -> None:
    """Streams that are always appended to together are never seen at different versions."""
    left, right = stream("store-1"), stream("store-2")

    async def write() -> None:
        async with pool.acquire() as connection:
            for version in range(60):
                pair = [appending(left, version), appending(right, version)]
                await STORE.append(connection, Batch(appends=pair))

    async def read(writing: asyncio.Task[None]) -> None:
        async with pool.acquire() as connection:
            while not writing.done():
                loaded = await STORE.load_many(connection, [left, right])
                assert loaded[left].version == loaded[right].version

    writing = asyncio.create_task(write())
    await asyncio.gather(writing, *(read(writing) for _ in range(3)))
