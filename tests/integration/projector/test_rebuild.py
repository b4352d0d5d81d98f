"""Rebuilding a read model beside the live one, on a real PostgreSQL and a real Kafka."""

import asyncpg
import pytest

from integration.projector.order_log import CONFIRM, PARTITIONS, VOID, create, item, order_key, random_log
from integration.projector.processes import Installation, until
from integration.projector.reading import MOST_NAMES, expected, rows
from integration.projector.rebuilding import Operator, logged
from operations import pause, recorded, resume
from operations.errors import AlreadyUnderWay
from operations.rebuild import cancel_build, drop_previous, read_build, release_build

DAMAGE = {
    "audit_log": "UPDATE projections.audit_log_1 SET actor = 'nobody' WHERE version = 2 AND order_id = $1",
    "order_summary": "UPDATE projections.order_summary_1 SET total = total + 1 WHERE order_id = $1",
    "process_steps": "UPDATE projections.process_steps_1 SET wait = '1 h'"
    " WHERE version = 2 AND order_id = $1",
    "product_movements": "UPDATE projections.product_movements_1_orders SET occurred_by = 'epoch'"
    " WHERE order_id = $1",
    "sales": "UPDATE projections.sales_1_orders SET net = net + 1 WHERE order_id = $1",
}


@pytest.mark.parametrize("name", MOST_NAMES)
async def test_a_rebuild_repairs_what_was_damaged_and_names_it(
    installation: Installation, conn: asyncpg.Connection, operator: Operator, name: str
) -> None:
    """The new generation equals the fold of the log, and the comparison shows both rows of a change."""
    log = random_log(150)
    await log.store(conn)
    ends = await installation.send(log)
    damaged = next(iter(log.orders))
    with installation.running(name) as process:
        await operator.live_level(name, ends)
        assert await rows(conn, name) == expected(name, log)
        await conn.execute(DAMAGE[name], damaged.aggregate_id)

        build = await operator.reach(await operator.ask(name), "swapped")
        assert build.orders_done == build.orders_total == len(log.orders)
        comparison = build.comparison
        assert comparison is not None
        assert [comparison[what] for what in ("added", "gone", "changed", "unsettled")] == [0, 0, 1, 0]
        (example,) = comparison["examples"]
        assert example["live"]["order_id"] == example["new"]["order_id"] == str(damaged.aggregate_id)
        assert example["live"] != example["new"]
        assert await operator.generations(name) == {1: "previous", 2: "live"}
        assert await rows(conn, name) == expected(name, log)

        # The read model's own group goes on from where the builder was.
        log.do(order_key("late"), create(), item("1"), CONFIRM)
        log.do(order_key("late"), VOID)
        await log.store(conn)
        ends = await installation.send(log, ends)
        await operator.live_level(name, ends)
        assert await rows(conn, name) == expected(name, log)
        assert await installation.stop(process) == 0


async def test_a_comparison_tells_rows_added_and_gone(
    installation: Installation, conn: asyncpg.Connection, operator: Operator
) -> None:
    """A row that was lost is added, one of an order that the store doesn't know is gone."""
    log = random_log(20)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running("order_summary") as process:
        await operator.live_level("order_summary", ends)
        lost, unknown = next(iter(log.orders)).aggregate_id, order_key("unknown").aggregate_id
        await conn.execute(
            "UPDATE projections.order_summary_1 SET order_id = $2 WHERE order_id = $1", lost, unknown
        )
        build = await operator.reach(await operator.ask("order_summary"), "swapped")
        comparison = build.comparison
        assert comparison is not None
        assert [comparison[what] for what in ("added", "gone", "changed", "unsettled")] == [1, 1, 0, 0]
        found = {each["what"]: each for each in comparison["examples"]}
        assert found["added"]["live"] is found["gone"]["new"] is None
        assert found["added"]["new"]["order_id"] == str(lost)
        assert found["gone"]["live"]["order_id"] == str(unknown)
        assert await rows(conn, "order_summary") == expected("order_summary", log)
        assert await installation.stop(process) == 0


async def test_an_operator_goes_back_to_the_kept_generation_and_drops_it(
    installation: Installation, conn: asyncpg.Connection, operator: Operator
) -> None:
    """A rollback catches up before it swaps; of the generations before the live one only the last is kept."""
    log = random_log(60)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running("sales") as process:
        await operator.live_level("sales", ends)
        await operator.reach(await operator.ask("sales"), "swapped")
        log.do(order_key("late"), create(), item("1"), CONFIRM)
        await log.store(conn)
        ends = await installation.send(log, ends)
        await operator.live_level("sales", ends)

        await operator.reach(await operator.ask("sales", "rollback", generation=1), "swapped")
        assert await operator.generations("sales") == {1: "live", 2: "previous"}
        assert await rows(conn, "sales") == expected("sales", log)
        log.do(order_key("late"), VOID)
        await log.store(conn)
        ends = await installation.send(log, ends)
        await operator.live_level("sales", ends)
        assert await rows(conn, "sales") == expected("sales", log)

        await operator.reach(await operator.ask("sales"), "swapped")
        await operator.kept("sales", {1: "previous", 3: "live"})
        assert await drop_previous(operator.connection, "sales") == [1]
        await operator.kept("sales", {3: "live"})
        assert await rows(conn, "sales") == expected("sales", log)
        assert await installation.stop(process) == 0


async def test_one_build_at_a_time_and_a_cancelled_one_leaves_nothing(
    installation: Installation, conn: asyncpg.Connection, operator: Operator
) -> None:
    """A second build is refused by the first's name; a cancelled one is dropped, the live one goes on."""
    log = random_log(60)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running("order_summary") as process:
        await operator.live_level("order_summary", ends)
        # A minute's work: it is cancelled long before the end.
        build = await operator.ask("order_summary", throttle=1)
        with pytest.raises(AlreadyUnderWay, match=r"A rebuild of .* is under way by ann@here since"):
            await operator.ask("order_summary")
        await operator.reach(build, "scanning")
        # The live one is written as ever meanwhile.
        log.do(order_key("late"), create(), item("1"), CONFIRM)
        await log.store(conn)
        ends = await installation.send(log, ends)
        await operator.live_level("order_summary", ends)
        with pytest.raises(AlreadyUnderWay):
            await drop_previous(operator.connection, "order_summary")

        await cancel_build(operator.connection, build)
        found = await operator.reach(build, "cancelled")
        assert found.orders_done < len(log.orders)
        await operator.kept("order_summary", {1: "live"})
        assert await rows(conn, "order_summary") == expected("order_summary", log)
        assert await installation.stop(process) == 0


async def test_a_build_that_holds_is_compared_and_swaps_when_it_is_let(
    installation: Installation, conn: asyncpg.Connection, operator: Operator
) -> None:
    """With `hold` a new generation keeps level beside the live one until the operator lets it swap."""
    log = random_log(30)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running("order_summary") as process:
        await operator.live_level("order_summary", ends)
        build = await operator.ask("order_summary", hold=True)

        async def held() -> bool:
            return (await read_build(operator.connection, build)).holds

        await until(held, "the build holds")
        log.do(order_key("late"), create(), item("1"), CONFIRM)
        await log.store(conn)
        ends = await installation.send(log, ends)
        await operator.live_level("order_summary", ends)
        assert await operator.generations("order_summary") == {1: "live", 2: "building"}
        await release_build(operator.connection, build)
        await operator.reach(build, "swapped")
        assert await rows(conn, "order_summary") == expected("order_summary", log)
        assert await installation.stop(process) == 0


async def test_a_paused_read_model_is_not_built(
    installation: Installation, conn: asyncpg.Connection, operator: Operator
) -> None:
    """A pause stops a build where it is, and its end lets it go on."""
    log = random_log(60)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running("order_summary") as process:
        await operator.live_level("order_summary", ends)
        # A minute's work: it is paused long before the end, and goes on as fast as it can.
        build = await operator.ask("order_summary", throttle=1)
        await operator.reach(build, "scanning")
        async with recorded(operator.connection, "ann@here", "pause", {}) as action:
            await pause(operator.connection, "order_summary", "operator", action.id)

        async def stood_down() -> bool:
            return bool(logged(installation, "order_summary", "build.stood_down"))

        await until(stood_down, "the builder has stood down")
        done = (await read_build(operator.connection, build)).orders_done
        assert done < len(log.orders)
        await conn.execute("UPDATE operations.builds SET throttle = NULL")
        await resume(operator.connection, "order_summary", "operator")
        found = await operator.reach(build, "swapped")
        assert found.orders_done == len(log.orders)
        assert await rows(conn, "order_summary") == expected("order_summary", log)
        assert await installation.stop(process) == 0


FAILS = """
from projector import app
from projector.building import builder

async def compare(self):
    raise LookupError("no such thing")

builder.Comparison.run = compare
app.main()
"""


async def test_a_build_that_fails_says_why_and_leaves_nothing(
    installation: Installation, conn: asyncpg.Connection, operator: Operator
) -> None:
    """An error that no retry can mend ends the build, not the projector."""
    log = random_log(10)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running("sales", FAILS) as process:
        await operator.live_level("sales", ends)
        build = await operator.reach(await operator.ask("sales"), "failed")
        assert build.error == "LookupError: no such thing"
        await operator.kept("sales", {1: "live"})
        log.do(order_key("late"), create(), item("1"), CONFIRM)
        await log.store(conn)
        ends = await installation.send(log, ends)
        await operator.live_level("sales", ends)
        assert await rows(conn, "sales") == expected("sales", log)
        assert await installation.stop(process) == 0


async def test_tables_that_were_dropped_are_made_and_filled_again(
    installation: Installation, conn: asyncpg.Connection, operator: Operator
) -> None:
    """A checkpoint is not believed where its tables had to be made anew."""
    log = random_log(30)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running("sales") as process:
        await operator.live_level("sales", ends)
        assert await installation.stop(process) == 0
    await conn.execute("DROP TABLE projections.sales_1_orders")
    with installation.running("sales") as process:

        async def lost() -> bool:
            found = await conn.fetchval("SELECT count(*) FROM projections.assignments")
            return bool(found == PARTITIONS)

        await until(lost, "the checkpoints count as lost")
        await operator.live_level("sales", ends)
        assert await conn.fetchval("SELECT count(*) FROM projections.sales_1_orders") == len(log.orders)
        assert await rows(conn, "sales") == expected("sales", log)
        assert await installation.stop(process) == 0
