"""Pausing read models through the database: no shell on the projectors' hosts is needed.

A read model is paused while it has a row, one for each cause; its projectors look every half second, and
before they join their group. A cause ends alone: a replay that resumes leaves an operator's pause in force.
"""

from typing import Literal

import asyncpg

Cause = Literal["operator", "replay"]

_PAUSE = """
INSERT INTO operations.pauses (read_model, cause, action_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
RETURNING true
"""
_RESUME = "DELETE FROM operations.pauses WHERE read_model = $1 AND cause = $2 RETURNING true"
_CAUSES = "SELECT cause FROM operations.pauses WHERE read_model = $1 ORDER BY cause"


async def pause(conn: asyncpg.Connection, read_model: str, cause: Cause, action_id: int) -> bool:
    """Pause a read model; False when it was paused for this cause already."""
    return await conn.fetchval(_PAUSE, read_model, cause, action_id) is True


async def resume(conn: asyncpg.Connection, read_model: str, cause: Cause) -> bool:
    """End a pause; False when there was none of this cause."""
    return await conn.fetchval(_RESUME, read_model, cause) is True


async def pause_causes(conn: asyncpg.Connection, read_model: str) -> list[str]:
    """Return why a read model is paused; nothing when it is not."""
    return [row["cause"] for row in await conn.fetch(_CAUSES, read_model)]
