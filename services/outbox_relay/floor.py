"""The lowest id that the outbox can still have a row at: below it there are dead rows only.

While any transaction keeps an old snapshot (a forgotten session, a long `pg_dump`), PostgreSQL keeps the rows
that were deleted since, and a read from the lowest id on walks over all of them each time. To go on behind
the highest id that was sent would skip a transaction that took a lower id and commits late. So the floor is
raised only over ids whose transactions have ended: whoever takes an id holds a lock on the table until its
end, and is visible to everybody before it lets go.
"""

import time

import asyncpg

# How often the locks are looked at. Dead rows of so long are walked over again and again meanwhile.
LOOK_INTERVAL = 0.5

# A transaction that inserts holds this lock from before it takes an id. A prepared one has no process.
_WRITERS = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'outbox'::regclass AND mode = 'RowExclusiveLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND pid IS DISTINCT FROM pg_backend_pid()
"""


class Floor:
    """Where the reads of one relay begin, over one connection and its shards.

    It is raised in three steps: note the highest id that was read, and the transactions that write at that
    moment; wait until those have ended; then read, and begin with what is left the next time.
    """

    def __init__(self) -> None:
        self.id = 0
        """No row of these shards has a lower id, now or ever."""
        self._highest_read = 0
        self._settling: int | None = None
        self._writers: frozenset[str] = frozenset()
        self._looked_at = 0.0

    def forget(self) -> None:
        """Begin from the lowest id again: other shards have rows of their own, another database other ids."""
        self.id = self._highest_read = 0
        self._settling = None

    async def settled(self, conn: asyncpg.Connection) -> int | None:
        """Return an id up to which all transactions have ended, when there is a higher one than before.

        To be called before a read over the same connection, whose rows `read` is then told of.
        """
        now = time.monotonic()
        if now - self._looked_at < LOOK_INTERVAL or self._highest_read < self.id:
            return None
        self._looked_at = now
        writers = frozenset(row["virtualtransaction"] for row in await conn.fetch(_WRITERS))
        settled = None
        if self._settling is not None and not (writers & self._writers):
            settled, self._settling = self._settling, None
        if self._settling is None:
            self._settling, self._writers = self._highest_read, writers
        return settled

    def read(self, rows: list[asyncpg.Record], settled: int | None) -> None:
        """Take note of what a read from the floor on gave, in id order, after `settled` was asked for."""
        if settled is not None:
            self.id = settled + 1 if not rows else min(rows[0]["id"], settled + 1)
        if rows:
            self._highest_read = max(self._highest_read, rows[-1]["id"])
