"""Waiting until what was sent has come through every service to the read models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import asyncpg

from messaging import KafkaConnection, Topics
from operations.errors import OperationRefused
from operations.status.lag import Lags, read_lags

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

    def __init__(
        self,
        connection: asyncpg.Connection,
        kafka: KafkaConnection,
        topics: Topics,
        commands_of: Mapping[UUID, int],
    ) -> None:
        self._connection = connection
        self._kafka = kafka
        self._topics = topics
        self._orders: Sequence[UUID] = list(commands_of)
        self._versions: Sequence[int] = list(commands_of.values())
        self.total = sum(self._versions)
        """The number of events that must come."""

    async def _applied(self) -> int:
        try:
            return int(await self._connection.fetchval(_APPLIED, self._orders, self._versions))
        except asyncpg.UndefinedTableError:
            return 0

    async def wait(self, tell: Callable[[int], None]) -> None:
        """Return when every read model has applied everything; `tell` gets the number of events applied.

        Raises OperationRefused, with where to look, after a minute without progress.
        """
        seen: tuple[int, int] | None = None
        moved = time.monotonic()
        while True:
            began = time.monotonic()
            applied = await self._applied()
            tell(applied)
            lags = (await self._lags()).read_models if applied == self.total else {}
            left = sum(lag.records for lag in lags.values())
            if lags and not left:
                return
            now = time.monotonic()
            if (applied, left) != seen:
                seen, moved = (applied, left), now
            elif now - moved > _STALLED_SECONDS:
                raise await self._stalled(applied)
            await asyncio.sleep(max(_POLL_SECONDS, (now - began) * (1 / _LOOKING - 1)))

    async def _lags(self) -> Lags:
        return await read_lags(self._connection, self._kafka, self._topics)

    async def _stalled(self, applied: int) -> OperationRefused:
        refused = ", ".join(f"{count} x {code}" for code, count in await self._connection.fetch(_REFUSED))
        return OperationRefused(
            f"Nothing has moved for {_STALLED_SECONDS:.0f} s: {applied:,} of {self.total:,} events are in"
            f" order_summary{f'; commands were refused: {refused}' if refused else ''}.",
            "Read the services' logs in .tillstream/logs; then see `till up --detach` and `till lag`.",
        )
