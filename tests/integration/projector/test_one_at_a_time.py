"""A replay, a build and a clean-up that are asked for at the same moment: the first one stands."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from operations import recorded
from operations.errors import AlreadyUnderWay, NotFound
from operations.rebuild import drop_previous, request_build
from operations.replay.record import begin_replay, end_replay, open_replay
from projector.building.record import request_upgrade

NAME = "sales"
_WAITING = "SELECT count(*) FROM pg_locks WHERE pid = $1 AND locktype = 'advisory' AND NOT granted"
Ask = Callable[[asyncpg.Connection], Awaitable[object]]


@pytest.fixture
async def operators(
    database: Any, conn: asyncpg.Connection
) -> AsyncIterator[tuple[asyncpg.Connection, asyncpg.Connection]]:
    """Give two operators' connections, where a generation is live and one is kept."""
    await conn.execute(
        "INSERT INTO projections.generations (read_model, generation, state, version)"
        " VALUES ($1, 1, 'previous', 1), ($1, 2, 'live', 1)",
        NAME,
    )
    connections = [await asyncpg.connect(database.dsn("operator")) for _ in range(2)]
    yield connections[0], connections[1]
    for connection in connections:
        await connection.close()


async def action(operator: asyncpg.Connection) -> int:
    async with recorded(operator, "ann@here", "test", {}) as begun:
        return begun.id


async def replay(operator: asyncpg.Connection) -> None:
    await begin_replay(operator, NAME, await action(operator))


async def rebuild(operator: asyncpg.Connection) -> None:
    await request_build(operator, NAME, "rebuild", 1, await action(operator))


async def roll_back(operator: asyncpg.Connection) -> None:
    await request_build(operator, NAME, "rollback", 1, await action(operator), generation=1)


async def clean_up(operator: asyncpg.Connection) -> None:
    assert await drop_previous(operator, NAME) == [1]


@pytest.mark.parametrize(
    ("first", "second", "refusal"),
    [
        (replay, rebuild, (AlreadyUnderWay, "A replay of sales is under way, by ann@here")),
        (rebuild, replay, (AlreadyUnderWay, "a rebuild since .*, asked for by ann@here")),
        (rebuild, rebuild, (AlreadyUnderWay, "A rebuild of sales is under way by ann@here")),
        (replay, replay, (AlreadyUnderWay, "a replay of ann@here since")),
        (roll_back, clean_up, (AlreadyUnderWay, "Not now: a rollback of sales is under way")),
        (clean_up, roll_back, (NotFound, "Generation 1 of sales is kept no longer")),
    ],
)
async def test_of_two_that_would_cross_the_second_is_refused(
    conn: asyncpg.Connection,
    operators: tuple[asyncpg.Connection, asyncpg.Connection],
    first: Ask,
    second: Ask,
    refusal: tuple[type[Exception], str],
) -> None:
    """Who asks while another's wish is not committed yet waits for it, and is told of it."""
    earlier, later = operators
    async with earlier.transaction():
        await first(earlier)
        asking = asyncio.ensure_future(second(later))
        async with asyncio.timeout(10):
            while not (asking.done() or await conn.fetchval(_WAITING, later.get_server_pid())):  # noqa: ASYNC110 - what is waited for happens in the database
                await asyncio.sleep(0.01)
    refused, reason = refusal
    with pytest.raises(refused, match=reason):
        await asking


async def test_an_upgrade_waits_for_a_replay(
    database: Any, conn: asyncpg.Connection, operators: tuple[asyncpg.Connection, asyncpg.Connection]
) -> None:
    """A newer projector asks for its build once the replay that is under way has ended."""
    operator, _ = operators
    await replay(operator)
    projector = await asyncpg.connect(database.dsn("projector"))
    assert not await request_upgrade(projector, NAME, 2)
    under_way = await open_replay(operator, NAME)
    assert under_way is not None
    await end_replay(operator, under_way, "cancelled")
    assert await request_upgrade(projector, NAME, 2)
    assert not await request_upgrade(projector, NAME, 2)
    await projector.close()
    assert await conn.fetchval("SELECT count(*) FROM operations.builds") == 1
