"""Who keeps PostgreSQL from clearing dead rows away, and since when."""

from typing import NamedTuple

import asyncpg


class OldestSnapshot(NamedTuple):
    """Whose it is (role, application and process, or the replication slot), and its age in seconds."""

    holder: str
    seconds: float


async def oldest_snapshot(conn: asyncpg.Connection) -> OldestSnapshot | None:
    """Return the oldest snapshot of this database; None where nobody but us has one.

    For the roles outbox_relay and operator.
    """
    row = await conn.fetchrow("SELECT holder, seconds FROM operations.oldest_snapshot()")
    return None if row is None else OldestSnapshot(*row)
