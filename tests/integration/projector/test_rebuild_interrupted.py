"""A build goes on wherever it is broken off: kill -9 at its worst moments."""

import asyncio
import signal

import asyncpg
import pytest

from harness.groups import expel
from integration.projector.order_log import (
    CONFIRM,
    PARTITIONS,
    OrderLog,
    create,
    item,
    order_key,
    random_log,
)
from integration.projector.processes import Installation, until
from integration.projector.reading import NAMES, expected, rows
from integration.projector.rebuilding import Operator, logged
from operations.rebuild import read_build

DIES = """
import os, signal
from projector import app
from projector.building import builder, scanning, swapping

def dies(module, name, before=True, times=1):
    owner, _, attribute = name.rpartition(".")
    holder = getattr(module, owner) if owner else module
    original, calls = getattr(holder, attribute), []

    async def dying(*arguments, **options):
        calls.append(name)
        if before and len(calls) == times:
            os.kill(os.getpid(), signal.SIGKILL)
        await original(*arguments, **options)
        if len(calls) == times:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(holder, attribute, dying)

{where}
scanning.ORDERS_AT_ONCE = 20
app.main()
"""
MOMENTS = {
    "before the new generation is made": "dies(builder, 'begin')",
    "after the new generation is made": "dies(builder, 'begin', before=False)",
    "in mid-scan, with a page written but not committed": (
        "dies(scanning, 'move_cursor', before=False, times=3)"
    ),
    "while it catches up": "dies(builder, 'CatchingUp.level', before=False)",
    "while it compares": "dies(builder, 'Comparison.run')",
    "in the swap's transaction": "dies(swapping, '_change_places', before=False)",
    "after the swap": "dies(builder, 'Builder._hand_over')",
}
EACH_TIME = {"in mid-scan, with a page written but not committed", "in the swap's transaction"}


async def more(
    log: OrderLog, conn: asyncpg.Connection, installation: Installation, ends: list[int]
) -> list[int]:
    """Have an old order and a new one change; return the topic's ends."""
    late = order_key(f"late {sum(ends)}")
    log.do(late, create(), item("1"), CONFIRM)
    open_orders = [key for key, order in log.orders.items() if order.status == "open"]
    for key in open_orders[:3]:
        log.do(key, item("2"))
    await log.store(conn)
    return await installation.send(log, ends)


@pytest.mark.parametrize(
    "moment",
    [each if each in EACH_TIME else pytest.param(each, marks=pytest.mark.long) for each in MOMENTS],
)
async def test_a_build_outlives_kill_9(
    installation: Installation, conn: asyncpg.Connection, operator: Operator, moment: str
) -> None:
    """The next projector goes on with a build from where the killed one was, and no order counts twice."""
    log = random_log(90)
    await log.store(conn)
    ends = await installation.send(log)
    name = NAMES[list(MOMENTS).index(moment) % len(NAMES)]
    with installation.running(name, DIES.replace("{where}", MOMENTS[moment])) as process:
        await operator.live_level(name, ends)
        build = await operator.ask(name)
        assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL
    # Kafka would wait for the killed one's session to time out.
    await expel(installation.kafka.bootstrap_servers, installation.group(name))
    ends = await more(log, conn, installation, ends)
    with installation.running(name) as process:
        found = await operator.reach(build, "swapped")
        assert found.orders_done in {90, 91}
        await operator.live_level(name, ends)
        assert await rows(conn, name) == expected(name, log)
        ends = await more(log, conn, installation, ends)
        await operator.live_level(name, ends)
        assert await rows(conn, name) == expected(name, log)
        await operator.kept(name, {1: "previous", 2: "live"})
        assert await installation.stop(process) == 0


async def test_another_projector_takes_a_build_up_at_once(
    installation: Installation, conn: asyncpg.Connection, operator: Operator
) -> None:
    """Of two projectors the second goes on with the build when the first is killed."""
    log = random_log(90)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running("sales") as first:
        await operator.live_level("sales", ends)
        # So slow that the heir has come long before the end; it goes on as fast as it can.
        build = await operator.ask("sales", throttle=1)
        await operator.reach(build, "scanning")
        with installation.running("sales") as heir:

            async def both() -> bool:
                partitions = [
                    each["partitions"] for each in logged(installation, "sales", "consumer.assigned")
                ]
                return 0 < partitions[-1] < PARTITIONS

            await until(both, "two projectors share the partitions")
            assert (await read_build(operator.connection, build)).state == "scanning"
            await conn.execute("UPDATE operations.builds SET throttle = NULL")
            first.kill()
            await operator.reach(build, "swapped")
            assert await operator.generations("sales") == {1: "previous", 2: "live"}
            ends = await more(log, conn, installation, ends)
            await operator.live_level("sales", ends)
            assert await rows(conn, "sales") == expected("sales", log)
            assert await installation.stop(heir) == 0
