"""Who may send which rows: one advisory lock for each shard of the outbox."""

import asyncpg

from eventstore import SENDERS_LOCK, SHARDS


class Shards:
    """The shards this process holds.

    The locks are the session's, so they end with the connection; only rows read and deleted over that same
    connection are safe from a second sender. A pooler that hands out sessions per transaction breaks this.
    """

    def __init__(self) -> None:
        self._held: list[int] = []
        self._session: int | None = None

    @property
    def held(self) -> list[int]:
        """The shards held, ascending."""
        return self._held

    @property
    def session(self) -> int | None:
        """The session that holds them."""
        return self._session

    async def acquire(self, connection: asyncpg.Connection, session: int) -> list[int]:
        """Take the locks that are free and return all shards held on this session.

        `session` counts connections: on a new one nothing is held any more.
        """
        if session != self._session:
            self._held, self._session = [], session
        missing = sorted(set(range(SHARDS)) - set(self._held))
        if missing:
            rows = await connection.fetch(
                "SELECT shard FROM unnest($2::int[]) AS shard WHERE pg_try_advisory_lock($1, shard)",
                SENDERS_LOCK,
                missing,
            )
            self._held = sorted([*self._held, *(row["shard"] for row in rows)])
        return self._held
