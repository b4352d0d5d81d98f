"""How a changed projection is deployed: the newer version builds beside and swaps when it is level."""

import asyncio
import json
import urllib.error
import urllib.request

import asyncpg

from integration.projector.order_log import CONFIRM, OrderLog, create, item, order_key, random_log
from integration.projector.processes import Installation, until
from integration.projector.reading import expected, rows
from integration.projector.rebuilding import Operator, logged
from operations.rebuild import open_build
from readmodels import OrderSummary

NAME = "order_summary"
SECOND_VERSION = """
from projector import app
from readmodels import READ_MODELS, OrderSummary

class Second(OrderSummary):
    version = OrderSummary.version + 1
    # In the middle: a view can't just be replaced by one with other columns.
    view_sql = OrderSummary.view_sql.replace("status,", "status, status = 'confirmed' AS sold,")
    tables_sql = OrderSummary.tables_sql + '''
        ALTER TABLE projections.order_summary_{generation} ADD COLUMN IF NOT EXISTS checked boolean;
    '''

READ_MODELS["order_summary"] = Second
app.main()
"""


async def readiness(installation: Installation, started: int) -> tuple[int, dict[str, str]]:
    """Return the status and problems of the process that started as the n-th."""
    port = logged(installation, NAME, "http.serving")[started]["port"]

    def ask() -> tuple[int, dict[str, str]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                return answer.status, {}
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())["problems"]

    return await asyncio.to_thread(ask)


async def more(
    log: OrderLog, conn: asyncpg.Connection, installation: Installation, ends: list[int]
) -> list[int]:
    key = order_key(f"late {sum(ends)}")
    log.do(key, create(), item("1"), CONFIRM)
    await log.store(conn)
    return await installation.send(log, ends)


async def columns(conn: asyncpg.Connection) -> set[str]:
    found = await conn.fetch(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = 'read_models' AND table_name = $1",
        NAME,
    )
    return {row["column_name"] for row in found}


async def test_a_newer_version_is_built_beside_and_an_older_one_never_builds_back(
    installation: Installation, conn: asyncpg.Connection, operator: Operator
) -> None:
    """The older version writes the live one until the swap, stands by, and takes over at a rollback."""
    log = random_log(60)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running(NAME) as older:
        await operator.live_level(NAME, ends)
        with installation.running(NAME, SECOND_VERSION) as newer:

            async def swapped() -> bool:
                return await operator.generations(NAME) == {1: "previous", 2: "live"}

            await until(swapped, "the newer version is live")
            assert "sold" in await columns(conn)
            live = "SELECT version FROM projections.generations WHERE state = 'live'"
            assert await conn.fetchval(live) == OrderSummary.version + 1
            kind, action, comparison = await conn.fetchrow(
                "SELECT kind, action_id, comparison FROM operations.builds"
            )
            assert (kind, action) == ("upgrade", None)
            assert json.loads(comparison)["changed"] == 0
            analyst_may = "SELECT has_table_privilege('tillstream_analyst', $1, 'SELECT')"
            assert await conn.fetchval(analyst_may, f"read_models.{NAME}")

            ends = await more(log, conn, installation, ends)
            await operator.live_level(NAME, ends)

            async def told() -> bool:
                status, problems = await readiness(installation, 0)
                return status == 503 and "--rollback" in problems["consumer"]

            await until(told, "the older version says why it stands by")

            async def ready() -> bool:
                return (await readiness(installation, 1))[0] == 200

            await until(ready, "the newer version is ready")
            assert older.poll() is None

            build = await operator.ask(NAME, "rollback", generation=1)
            await operator.reach(build, "swapped")
            assert "sold" not in await columns(conn)
            ends = await more(log, conn, installation, ends)
            await operator.live_level(NAME, ends)
            assert await rows(conn, NAME) == expected(NAME, log)

            async def stands_by() -> bool:
                status, problems = await readiness(installation, 1)
                return status == 503 and "till rebuild" in problems["consumer"]

            await until(stands_by, "the newer version does not build again by itself")
            assert await open_build(operator.connection, NAME) is None
            # Only when somebody asks for it.
            await operator.reach(await operator.ask(NAME, version=OrderSummary.version + 1), "swapped")
            assert "sold" in await columns(conn)
            await operator.kept(NAME, {1: "previous", 3: "live"})
            assert await installation.stop(newer) == 0
        assert await installation.stop(older) == 0
