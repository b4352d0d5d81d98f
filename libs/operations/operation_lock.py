"""One at a time decides what is begun with a read model: a replay and a build would cross each other.

Each looks for the other and then writes itself down; between the two, nobody else may do the same.
"""

import asyncpg

_TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('tillstream.operation.' || $1, 0))"


async def take_turn(conn: asyncpg.Connection, read_model: str) -> None:
    """Wait until nobody else decides about a read model, and be who does until the transaction ends.

    What is looked up after it was committed before it, at PostgreSQL's default isolation.
    """
    await conn.execute(_TAKE_TURN, read_model)
