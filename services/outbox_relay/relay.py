"""The relay's loop: read in id order, send, wait for the acknowledgements, delete and read on."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import asyncpg
import structlog
from prometheus_client import Counter, Gauge

from eventstore import CHANNEL, SHARDS, decode_headers
from messaging import KafkaConnection, Message, Producer, Unrecoverable
from outbox_relay.floor import Floor
from outbox_relay.shards import Shards
from runtime import EXIT_FATAL, Database, Health, Settings
from runtime.retry import Budget

log = structlog.get_logger(__name__)

PUBLISHED = Counter(
    "tillstream_outbox_published", "Messages acknowledged by Kafka and removed from the outbox."
)
HELD = Gauge("tillstream_outbox_shards_held", "Shards of the outbox this relay sends; 0 stands by.")

ROWS = 2_000
# Dead letters may have a megabyte each: 2,000 of them would not be sent within the producer's time.
BYTES = 16 * 1024 * 1024
LOCK_INTERVAL = 0.5
# Whoever stores messages wakes us once they are committed; one that ended before it could is found so.
LONGEST_PAUSE = 0.5

SESSION = {
    # A relay that stands still in mid-life (a stopped process, a lost host) gives its locks back after this.
    # It looks by itself twice a second and bounds each wait for Kafka below it, so a live one never sees it.
    "idle_session_timeout": "30s",
    # By the ids, whatever the statistics say: they are of a table that is mostly empty, and walking over all
    # of it costs as much as all the dead rows that somebody's old snapshot keeps.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
}
"""What the session that sends is set to."""

READ = """
    WITH gone AS (DELETE FROM outbox WHERE id = ANY($5::bigint[]))
    SELECT id, topic, key, headers, value
    FROM (
        SELECT *, sum(coalesce(octet_length(value), 0) + octet_length(headers::text)) OVER (
            ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS bytes_before
        FROM (
            SELECT * FROM outbox
            WHERE shard = ANY($1::smallint[]) AND id >= $4 AND id <> ALL($5::bigint[])
            ORDER BY id LIMIT $2
        ) AS oldest
    ) AS counted
    WHERE coalesce(bytes_before, 0) < $3 ORDER BY id
"""
"""Deletes what was sent, and reads what comes next."""
_DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"


class Relay:
    """Sends the rows of the shards it holds; without any it stands by for the one that does.

    Because rows are deleted once acknowledged, and not followed with a cursor, a transaction that commits
    late is never skipped. Version n + 1 of an order can only be inserted after n has committed, so the ids
    within one snapshot are in version order. After a crash rows are sent again, identical byte for byte.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        shards: Shards,
        new_producer: Callable[[KafkaConnection], Producer],
        health: Health,
        *,
        floor: Floor,
        reconnected: Callable[[asyncpg.Connection], Awaitable[None]] | None = None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._shards = shards
        self._new_producer = new_producer
        self._producer: Producer | None = None
        self._floor = floor
        self._locked_at = 0.0
        self._progress_at = time.monotonic()
        self._connected = False
        # What Kafka has acknowledged and is still there.
        self._sent: list[int] = []
        self._woken = asyncio.Event()
        # Looks at a new connection's database before its rows are sent: it may have been restored meanwhile.
        self._reconnected = reconnected
        # The first connection was looked at before the start.
        self._looked_at = 1
        health.add("relay", self._problem)

    async def run(self, stop: asyncio.Event) -> int:
        """Relay until `stop` is set; return 0, or EXIT_FATAL.

        That is when nothing worked for the retry budget, or the database behind a new connection must not be
        sent from.
        """
        status, budget = 0, Budget(self._settings.retry_budget)
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(self._wake)
        while not stop.is_set():
            self._woken.clear()
            try:
                moved = await self._step()
            except Unrecoverable as error:
                log.error("service.refused", reason=str(error))  # noqa: TRY400 - no fault of ours
                status = EXIT_FATAL
                break
            except Exception as error:
                await self._start_over()
                delay = budget.next_delay(error)
                if delay is None:
                    log.exception("outbox.gave_up")
                    status = EXIT_FATAL
                    break
                log.warning("outbox.publish_failed", error=repr(error), delay=delay)
                await _wait(stop, delay)
                continue
            budget = Budget(self._settings.retry_budget)
            if not moved:
                await _wait(self._woken, LONGEST_PAUSE if self._shards.held else LOCK_INTERVAL)
        stopping.cancel()
        await self._delete_sent()
        await self._start_over()
        log.info("outbox.stopped", status=status)
        return status

    async def _step(self) -> int:
        """Delete what was sent before, and send one read's worth of rows; return how many."""
        connection = await self._database.connection()
        if self._sent and self._database.generation != self._shards.session:
            # Another relay may have the rows by now, and a restored database others of these ids.
            raise ConnectionResetError("the session is lost that the rows were read over")
        await self._look_again(connection)
        await self._take_locks(connection)
        rows = await self._read(connection)
        if rows:
            if self._producer is None:
                self._producer = self._new_producer(KafkaConnection.of(self._settings))
                await self._producer.start()
            await self._producer.send(
                [
                    Message(row["topic"], row["key"], decode_headers(row["headers"]), row["value"])
                    for row in rows
                ]
            )
            self._sent = [row["id"] for row in rows]
        self._progress_at = time.monotonic()
        return len(rows)

    async def _look_again(self, connection: asyncpg.Connection) -> None:
        """Look at a connection in a lost one's place, once, before it takes locks."""
        if self._database.generation > self._looked_at:
            if self._reconnected is not None:
                await self._reconnected(connection)
            self._looked_at = self._database.generation

    async def _read(self, connection: asyncpg.Connection) -> list[asyncpg.Record]:
        """Delete what was sent, and read the oldest rows of our shards.

        That is as many as are sent together, at least one if there is any.
        """
        if not self._shards.held:
            return []
        settled = await self._floor.settled(connection)
        rows = await connection.fetch(READ, self._shards.held, ROWS, BYTES, self._floor.id, self._sent)
        self._deleted()
        self._floor.read(rows, settled)
        return rows

    async def _delete_sent(self) -> None:
        """Delete what was sent last, before we end. What can't be is sent once more by whoever comes next."""
        if not self._sent:
            return
        try:
            connection = await self._database.connection()
            if self._database.generation != self._shards.session:
                return
            await connection.execute(_DELETE, self._sent)
        except Exception as error:  # noqa: BLE001 - a repeat is harmless
            log.warning("outbox.sent_not_deleted", error=repr(error))
        else:
            self._deleted()

    def _deleted(self) -> None:
        PUBLISHED.inc(len(self._sent))
        self._sent = []

    async def _take_locks(self, connection: asyncpg.Connection) -> None:
        now, session, before = time.monotonic(), self._database.generation, len(self._shards.held)
        held_by = self._shards.session
        if session == held_by and (before == SHARDS or now - self._locked_at < LOCK_INTERVAL):
            return
        if session != held_by:
            await connection.add_listener(CHANNEL, self._wake)
        held = await self._shards.acquire(connection, session)
        self._locked_at, self._connected = now, True
        HELD.set(len(held))
        if len(held) != before or session != held_by:
            self._floor.forget()
        if len(held) != before:
            log.info("outbox.shards_held", held=len(held))

    async def _start_over(self) -> None:
        """Forget connection, locks and what was being sent: the lowest row comes next."""
        self._database.discard()
        self._connected = False
        self._sent = []
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.drop()

    def _wake(self, *_: object) -> None:
        self._woken.set()

    def _problem(self) -> str | None:
        still = time.monotonic() - self._progress_at
        if not self._connected and still > LOCK_INTERVAL:
            return f"no connection that holds the locks for {still:.0f} s"
        if still > self._settings.stalled_after:
            return f"nothing published for {still:.0f} s while rows wait"
        return None


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
