"""How much waits in the outbox, and since when: looked at apart from the sending, which may stand still."""

import asyncio
import time
from collections.abc import Callable

import asyncpg
import structlog
from prometheus_client import Gauge

from eventstore.oldest_snapshot import OldestSnapshot, oldest_snapshot
from eventstore.outbox_depth import outbox_depth
from runtime import Database

log = structlog.get_logger(__name__)

ROWS = Gauge(
    "tillstream_outbox_rows", "Messages waiting in the outbox; above 10,000 it is estimated from their ids."
)
OLDEST = Gauge("tillstream_outbox_oldest_seconds", "Age of the oldest message waiting in the outbox.")
SNAPSHOT = Gauge(
    "tillstream_database_oldest_snapshot_seconds",
    "Age of the oldest snapshot that keeps dead rows; whose it is, once it is a minute old.",
    ["holder"],
)

NAMED_AFTER = 60.0
LOOK_INTERVAL = 2.0


class Depth:
    """Keeps the gauges of outbox and oldest snapshot, whoever sends: a relay that stands by tells them too.

    `lowest` gives the lowest id that there can be. While the database is away, what was seen waiting gets
    older.
    """

    def __init__(
        self,
        database: Database,
        lowest: Callable[[], int] = int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._lowest = lowest
        self._clock = clock
        self._oldest_since: float | None = None
        OLDEST.set_function(self._age)

    async def look(self, connection: asyncpg.Connection) -> None:
        """Measure the outbox once."""
        depth = await outbox_depth(connection, self._lowest())
        ROWS.set(depth.rows)
        self._oldest_since = self._clock() - depth.oldest_seconds if depth.rows else None
        oldest = await oldest_snapshot(connection) or OldestSnapshot("", 0.0)
        SNAPSHOT.clear()
        SNAPSHOT.labels(oldest.holder if oldest.seconds > NAMED_AFTER else "").set(oldest.seconds)

    async def keep_looking(self) -> None:
        """Measure the outbox again and again, until cancelled."""
        try:
            while True:
                try:
                    await self.look(await self._database.connection())
                except Exception as error:  # noqa: BLE001 - no reason to stop sending
                    self._database.discard()
                    log.warning("outbox.not_measured", error=repr(error))
                await asyncio.sleep(LOOK_INTERVAL)
        finally:
            await self._database.close()

    def _age(self) -> float:
        return 0.0 if self._oldest_since is None else self._clock() - self._oldest_since
