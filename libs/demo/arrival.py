"""Waiting until what was sent has come through every service to the read models."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from uuid import UUID

import asyncpg

from demo.selection import CURRENCY
from messaging import KafkaConnection, Topics
from operations import OperationRefused
from operations.status import read_lags

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
_EVENTS = "SELECT coalesce(sum(version), 0)::bigint FROM read_models.order_summary WHERE currency = $1"
_STALLED_SECONDS = 60.0
_POLL_SECONDS = 0.25
# A look at very many orders takes its time; at most this part of the database's is spent on looking.
_LOOKING = 0.2


async def arriving(
    conn: asyncpg.Connection, kafka: KafkaConnection, topics: Topics, commands_of: Mapping[UUID, int]
) -> AsyncIterator[int]:
    """Yield how many events of these orders are applied, until every read model has applied everything.

    `commands_of` is order id → commands sent, each of which gives one event. Raises OperationRefused after a
    minute without progress.
    """
    orders, versions, total = list(commands_of), list(commands_of.values()), sum(commands_of.values())
    seen: tuple[int, int] | None = None
    moved = time.monotonic()
    while True:
        began = time.monotonic()
        applied = await _applied(conn, orders, versions)
        yield applied
        lags = (await read_lags(conn, kafka, topics)).read_models if applied == total else {}
        left = sum(lag.records for lag in lags.values())
        if lags and not left:
            return
        now = time.monotonic()
        if (applied, left) != seen:
            seen, moved = (applied, left), now
        elif now - moved > _STALLED_SECONDS:
            refused = ", ".join(f"{count} x {code}" for code, count in await conn.fetch(_REFUSED))
            raise OperationRefused(
                "nothing_moves",
                f"Nothing has moved for {_STALLED_SECONDS:.0f} s: {applied:,} of {total:,} events are in"
                f" order_summary{f'; commands were refused: {refused}' if refused else ''}.",
            )
        await asyncio.sleep(max(_POLL_SECONDS, (now - began) * (1 / _LOOKING - 1)))


async def count_events(conn: asyncpg.Connection) -> int:
    """Return how many events of all orders in the data set's currency are in order_summary."""
    count: int = await conn.fetchval(_EVENTS, CURRENCY)
    return count


async def _applied(conn: asyncpg.Connection, orders: Sequence[UUID], versions: Sequence[int]) -> int:
    try:
        return int(await conn.fetchval(_APPLIED, orders, versions))
    except asyncpg.UndefinedTableError:
        return 0
