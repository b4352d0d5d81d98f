"""Who keeps a swap waiting: the sessions that read a view, and those whose locks a session waits for."""

from collections.abc import Sequence

import asyncpg

# Whoever holds any lock of a view is in the way of one that replaces it.
_HOLDERS = """
SELECT session FROM operations.sessions(ARRAY(
    SELECT coalesce(l.pid, 0)
    FROM pg_locks AS l
    JOIN pg_class AS v ON v.oid = l.relation AND v.relnamespace = 'read_models'::regnamespace
    WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND v.relname = ANY ($1)
)) WHERE seconds > $2
"""
_BLOCKING = "SELECT session FROM operations.sessions(pg_blocking_pids($1))"


async def view_holders(conn: asyncpg.Connection, views: Sequence[str], seconds: float) -> list[str]:
    """Return who holds one of these views of `read_models` in a transaction older than so many seconds.

    Each in words (role, application, process, what it is at, since when), the oldest first. For the role
    projector.
    """
    return [row["session"] for row in await conn.fetch(_HOLDERS, views, seconds)]


async def who_blocks(conn: asyncpg.Connection, process: int) -> list[str]:
    """Return whose locks a session waits for, told as by `view_holders`; nobody where it doesn't wait."""
    return [row["session"] for row in await conn.fetch(_BLOCKING, process)]
