"""The right to build: one process at a time for each read model."""

import asyncpg
from pydantic import SecretStr

from runtime import Database

_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('tillstream.building.' || $1, 0))"
# A process that is stopped, but not dead, must let another go on; one that works is never silent for so long.
_SILENT_AT_MOST = "20s"


class NotHeld(Exception):
    """The connection that held the right was lost, and the right with it."""


class BuildLease:
    """An advisory lock, and the connection whose session holds it: all that is built is written over it.

    So who lost the right can't write. A pooler that hands out sessions per transaction breaks this.
    """

    def __init__(self, url: SecretStr, read_model: str) -> None:
        self._read_model = read_model
        self._database = Database(
            url, f"projector.{read_model}.building", server_settings={"idle_session_timeout": _SILENT_AT_MOST}
        )
        self._session: int | None = None

    async def acquire(self) -> bool:
        """Take the right; False while another process has it."""
        conn = await self._database.connection()
        if self._session != self._database.generation:
            if not await conn.fetchval(_LOCK, self._read_model):
                return False
            self._session = self._database.generation
        return True

    async def connection(self) -> asyncpg.Connection:
        """Return the session's connection. Raises NotHeld."""
        conn = await self._database.connection()
        if self._session != self._database.generation:
            raise NotHeld
        return conn

    async def release(self) -> None:
        """Give the right up, by closing the connection."""
        self._session = None
        await self._database.close()

    def discard(self) -> None:
        """Drop the connection after a fault, and the right with it."""
        self._session = None
        self._database.discard()
