"""What readers see of a swap, while commands go on."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg

from integration.projector.order_log import CONFIRM, OrderLog, create, item, order_key, random_log
from integration.projector.processes import Installation
from integration.projector.reading import expected, rows
from integration.projector.rebuilding import Operator

NAME = "order_summary"
# The new generation lags behind: a swap that did not wait for it would show.
LATE = """
import asyncio, os
from projector import app, writing

handle = writing.Writer.handle

async def handle_late(self, batch):
    await asyncio.sleep(0.3)
    await handle(self, batch)

writing.NextWriter.handle = handle_late
# Late, but not too slow.
os.environ["TILLSTREAM_BATCH_RECORDS"] = "500"
app.main()
"""


class Reader:
    """Reads the view again and again; fails when an order is gone or goes back, and when a read fails."""

    def __init__(self, conn: asyncpg.Connection, *, hold: float = 0.0) -> None:
        self._conn = conn
        self._hold = hold
        self._seen: Mapping[UUID, int] = {}
        self.reads = 0

    async def read(self) -> None:
        async with self._conn.transaction():
            found = await self._conn.fetch(f"SELECT order_id, version FROM read_models.{NAME}")  # noqa: S608 - ours
            # A transaction that goes on holds the view's lock.
            await asyncio.sleep(self._hold)
        now = {row["order_id"]: row["version"] for row in found}
        back = {key: (at, now.get(key)) for key, at in self._seen.items() if now.get(key, 0) < at}
        assert not back, f"went back or is gone: {back}"
        self._seen = now
        self.reads += 1

    async def keep_reading(self) -> None:
        while True:
            await self.read()


async def keep_changing(
    log: OrderLog, conn: asyncpg.Connection, installation: Installation, enough: asyncio.Event
) -> list[int]:
    """Make new orders and change old ones, as fast as it goes; return the topic's ends."""
    ends = [len(records) for records in log.records.values()]
    number = 0
    while not enough.is_set():
        number += 1
        key = order_key(f"late {number}")
        log.do(key, create(), item("1"))
        for old in [key for key, order in list(log.orders.items())[-20:] if order.status == "open"][:5]:
            log.do(old, item("2"))
        if number % 3 == 0:
            log.do(key, CONFIRM)
        await log.store(conn)
        ends = await installation.send(log, ends)
    return ends


async def test_no_read_fails_is_empty_or_goes_back_while_generations_are_swapped(
    installation: Installation, database: Any, conn: asyncpg.Connection, operator: Operator
) -> None:
    """Readers, two projectors and a stream of events go on through a rebuild, a rollback and a rebuild."""
    log = random_log(200)
    await log.store(conn)
    ends = await installation.send(log)
    connections = [await asyncpg.connect(database.dsn("analyst")) for _ in range(3)]
    writing = await asyncpg.connect(database.dsn())
    readers = [Reader(connections[0]), Reader(connections[1]), Reader(connections[2], hold=0.4)]
    steps: list[dict[str, Any]] = [{}, {"kind": "rollback", "generation": 1}, {}]
    enough = asyncio.Event()
    with installation.running(NAME, LATE) as first, installation.running(NAME, LATE) as second:
        await operator.live_level(NAME, ends)
        changing = asyncio.create_task(keep_changing(log, writing, installation, enough))
        reading = [asyncio.create_task(reader.keep_reading()) for reader in readers]
        for step in steps:
            before = [reader.reads for reader in readers]
            build = await operator.reach(await operator.ask(NAME, **step), "swapped")
            assert build.comparison is not None
            assert build.comparison["changed"] == build.comparison["gone"] == 0
            for reader, task, reads in zip(readers, reading, before, strict=True):
                assert not task.done(), task.exception()
                assert reader.reads > reads
        enough.set()
        ends = await changing
        await operator.live_level(NAME, ends)
        for reader, task in zip(readers, reading, strict=True):
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled(), task.exception()
            assert reader.reads
        assert await rows(conn, NAME) == expected(NAME, log)
        await operator.kept(NAME, {1: "previous", 3: "live"})
        assert await installation.stop(first) == 0
        assert await installation.stop(second) == 0
    for connection in (*connections, writing):
        await connection.close()
