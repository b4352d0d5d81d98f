"""Who is in the way of a swap is named, and nobody else waits for that."""

import asyncio
from typing import Any

import asyncpg

from integration.projector.order_log import CONFIRM, OrderLog, create, item, order_key, random_log
from integration.projector.processes import Installation, until
from integration.projector.rebuilding import Operator
from operations.rebuild import Build, read_build, release_build
from readmodels.desired_state import read_desired_states
from readmodels.read_model_status import read_swap_blockers

NAME = "order_summary"


async def blocked(operator: Operator, build: int) -> Build:
    """Wait until somebody is named who is in the way."""

    async def named() -> bool:
        found = await read_build(operator.connection, build)
        assert not found.ended, f"{found.state}: {found.error}"
        return bool(found.blocked_by)

    await until(named, "who blocks the swap")
    return await read_build(operator.connection, build)


async def grow(log: OrderLog, conn: asyncpg.Connection, installation: Installation, ends: list[int]) -> Any:
    log.do(order_key("late"), create(), item("1"), CONFIRM)
    await log.store(conn)
    return await installation.send(log, ends)


async def test_a_reader_that_holds_the_view_is_named_and_nobody_waits_behind_it(
    installation: Installation, database: Any, conn: asyncpg.Connection, operator: Operator
) -> None:
    """A forgotten read of the view puts the swap off: it is named where builds are told, and others go on."""
    log = random_log(20)
    await log.store(conn)
    ends = await installation.send(log)
    analyst = await asyncpg.connect(
        database.dsn("analyst"), server_settings={"application_name": "monthly report"}
    )
    reader = await asyncpg.connect(database.dsn("analyst"), server_settings={"lock_timeout": "100ms"})
    with installation.running(NAME) as process:
        await operator.live_level(NAME, ends)
        forgotten = analyst.transaction()
        await forgotten.start()
        await analyst.fetch(f"SELECT 1 FROM read_models.{NAME}")  # noqa: S608 - ours
        build = await operator.ask(NAME)
        told = (await blocked(operator, build)).blocked_by
        session = f"tillstream_analyst (monthly report), pid {analyst.get_server_pid()}, idle in transaction"
        assert [each.partition(", since ")[0] for each in told] == [session]
        wanted = (await read_desired_states(operator.admin, [NAME]))[NAME]
        assert f"the swap waits for {told[0]}" in str(wanted.build)
        assert await read_swap_blockers(operator.connection) == {NAME: told}
        # The swap asks for no lock meanwhile: readers get theirs at once, and the live rows move on.
        for _ in range(20):
            await reader.fetch(f"SELECT 1 FROM read_models.{NAME}")  # noqa: S608 - ours
            await asyncio.sleep(0.05)
        ends = await grow(log, conn, installation, ends)
        await operator.live_level(NAME, ends)
        await forgotten.rollback()
        assert (await operator.reach(build, "swapped")).blocked_by == []
        assert await installation.stop(process) == 0
    await analyst.close()
    await reader.close()


async def test_who_locks_the_checkpoints_is_named(
    installation: Installation, database: Any, conn: asyncpg.Connection, operator: Operator
) -> None:
    """A session that keeps the swap from the live generation's checkpoints is named, and then it goes on."""
    log = random_log(10)
    await log.store(conn)
    ends = await installation.send(log)
    by_hand = await asyncpg.connect(database.dsn(), server_settings={"application_name": "by hand"})
    with installation.running(NAME) as process:
        await operator.live_level(NAME, ends)
        build = await operator.ask(NAME, hold=True)
        await until(lambda: _holds(operator, build), "the build level and compared")
        locked = by_hand.transaction()
        await locked.start()
        await by_hand.execute("SELECT FROM projections.checkpoints FOR UPDATE")
        await release_build(operator.connection, build)
        (told,) = (await blocked(operator, build)).blocked_by
        assert f"(by hand), pid {by_hand.get_server_pid()}, idle in transaction, since 2" in told
        await locked.rollback()
        assert (await operator.reach(build, "swapped")).blocked_by == []
        assert await installation.stop(process) == 0
    await by_hand.close()


async def _holds(operator: Operator, build: int) -> bool:
    return (await read_build(operator.connection, build)).holds
