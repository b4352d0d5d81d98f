"""Waiting until what was sent has come through every service to the read models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import asyncpg

from runtime import Settings
from till.connecting import query_connection
from till.errors import TillError
from till.lag import read_lags

# Each command gives one event, so an order is through when it is at the version of its number of commands.
# What somebody adds to the demo's orders later doesn't count twice.
_APPLIED = """
SELECT coalesce(sum(least(s.version, e.version)), 0)::bigint
  FROM unnest($1::uuid[], $2::bigint[]) AS e (order_id, version)
  JOIN read_models.order_summary AS s USING (order_id)
"""
_REFUSED = """
SELECT code, count(*) FROM command_outcomes WHERE code IS NOT NULL AND tenant_id LIKE 'store-%'
 GROUP BY code ORDER BY count DESC, code LIMIT 3
"""
_STALLED_SECONDS = 60.0
_POLL_SECONDS = 0.25
# A look at very many orders takes its time; at most this part of the database's is spent on looking.
_LOOKING = 0.2


class Arrival:
    """The way of these orders' events to the read models: `commands_of` is order id → commands sent."""

    def __init__(self, where: Settings, commands_of: Mapping[UUID, int]) -> None:
        self._where = where
        self._orders: Sequence[UUID] = list(commands_of)
        self._versions: Sequence[int] = list(commands_of.values())
        self.total = sum(self._versions)
        """The number of events that must come."""

    async def _applied(self, connection: asyncpg.Connection) -> int:
        try:
            return int(await connection.fetchval(_APPLIED, self._orders, self._versions))
        except asyncpg.UndefinedTableError:
            return 0

    async def wait(self, tell: Callable[[int], None]) -> None:
        """Return when every read model has applied everything; `tell` gets the number of events applied.

        Raises TillError, with where to look, after a minute without progress.
        """
        async with query_connection(self._where) as connection:
            seen: tuple[int, int] | None = None
            moved = time.monotonic()
            while True:
                began = time.monotonic()
                applied = await self._applied(connection)
                tell(applied)
                lags = (await read_lags(self._where)).read_models if applied == self.total else {}
                left = sum(lag.records for lag in lags.values())
                if lags and not left:
                    return
                now = time.monotonic()
                if (applied, left) != seen:
                    seen, moved = (applied, left), now
                elif now - moved > _STALLED_SECONDS:
                    raise await self._stalled(connection, applied)
                await asyncio.sleep(max(_POLL_SECONDS, (now - began) * (1 / _LOOKING - 1)))

    async def _stalled(self, connection: asyncpg.Connection, applied: int) -> TillError:
        refused = ", ".join(f"{count} x {code}" for code, count in await connection.fetch(_REFUSED))
        return TillError(
            f"Nothing has moved for {_STALLED_SECONDS:.0f} s: {applied:,} of {self.total:,} events are in"
            f" order_summary{f'; commands were refused: {refused}' if refused else ''}.",
            "Read the services' logs in .tillstream/logs; then see `till up --detach` and `till lag`.",
        )
