"""Parked orders as an operator meets them: read from the database, and wanted to be tried again there."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from operations.actions import recorded
from operations.errors import NotFound

LOOK_INTERVAL = 0.2

# A generation that is kept for a rollback is brought up to date, parked orders too, before it is used again.
_FIND = """
SELECT p.read_model, p.generation, g.state, p.tenant_id, p.order_id, p.partition, p.version,
    p.newest_version, p.error, p.parked_at, p.attempts, p.tried_at, p.retry_requested
FROM projections.parked AS p JOIN projections.generations AS g USING (read_model, generation)
WHERE g.state <> 'previous'
    AND ($1::text IS NULL OR p.read_model = $1) AND ($2::text IS NULL OR p.tenant_id = $2)
    AND ($3::uuid[] IS NULL OR p.order_id = ANY ($3))
ORDER BY p.parked_at DESC, p.read_model, p.generation, p.tenant_id, p.order_id
LIMIT $4
"""

_EVENT = """
SELECT event_type, schema_version, occurred_at, recorded_at, payload, metadata FROM order_events
WHERE tenant_id = $1 AND aggregate_id = $2 AND version = $3
"""

_KEYS = "unnest($1::text[], $2::integer[], $3::text[], $4::uuid[]) AS k"
_SAME = """p.read_model = k.read_model AND p.generation = k.generation
    AND p.tenant_id = k.tenant_id AND p.order_id = k.order_id"""

_WANT = f"""
UPDATE projections.parked AS p SET retry_requested = true
FROM {_KEYS} (read_model, generation, tenant_id, order_id) WHERE {_SAME}
"""  # noqa: S608 - constants of ours

_STANDING = f"""
SELECT p.read_model, p.generation, p.tenant_id, p.order_id, p.retry_requested, p.error
FROM projections.parked AS p JOIN {_KEYS} (read_model, generation, tenant_id, order_id) ON {_SAME}
"""  # noqa: S608 - constants of ours


class ParkedKey(NamedTuple):
    """One order, parked for one generation of a read model."""

    read_model: str
    generation: int
    tenant_id: str
    order_id: UUID


class ParkedOrder(NamedTuple):
    """What is known of a parked order; `state` is its generation's, version 0 an event that tells none."""

    read_model: str
    generation: int
    state: str
    tenant_id: str
    order_id: UUID
    partition: int
    version: int
    newest_version: int
    error: str
    parked_at: datetime
    attempts: int
    tried_at: datetime
    retry_requested: bool

    @property
    def key(self) -> ParkedKey:
        """What names it."""
        return ParkedKey(self.read_model, self.generation, self.tenant_id, self.order_id)


@dataclass(frozen=True)
class Result:
    """What came of a retry: unparked, failed again (key → error), or not tried in time."""

    unparked: Sequence[ParkedKey]
    failed: Mapping[ParkedKey, str]
    waiting: Sequence[ParkedKey]


async def find_parked(
    conn: asyncpg.Connection,
    *,
    read_model: str | None = None,
    tenant: str | None = None,
    orders: Sequence[UUID] | None = None,
    limit: int | None = None,
) -> list[ParkedOrder]:
    """Return parked orders, the last parked first; None stands for any."""
    return [ParkedOrder(*row) for row in await conn.fetch(_FIND, read_model, tenant, orders, limit)]


async def read_parked(
    conn: asyncpg.Connection, order: UUID, *, read_model: str | None, tenant: str | None
) -> list[tuple[ParkedOrder, dict[str, Any] | None]]:
    """Return where an order is parked, each with the event that could not be applied, as the store has it.

    None stands for any, or for an event that the store has not. Raises NotFound when it is parked nowhere.
    """
    found = await find_parked(conn, read_model=read_model, tenant=tenant, orders=[order])
    if not found:
        raise NotFound("not_parked", f"Order {order} is not parked.")
    return [(each, await _event(conn, each)) for each in found]


async def _event(conn: asyncpg.Connection, parked: ParkedOrder) -> dict[str, Any] | None:
    row = await conn.fetchrow(_EVENT, parked.tenant_id, parked.order_id, parked.version)
    if row is None:
        return None
    return {**row, "payload": json.loads(row["payload"]), "metadata": json.loads(row["metadata"])}


async def retry(
    conn: asyncpg.Connection,
    orders: Sequence[UUID] | None,
    actor: str,
    *,
    read_model: str | None,
    tenant: str | None,
    note: str,
    seconds: float,
) -> Result:
    """Have the projectors try parked orders again (None: all), on the record, and see what comes of it.

    What is not tried within so many seconds is tried later all the same. Raises NotFound for an order that is
    not parked, or when none is.
    """
    found = await find_parked(conn, read_model=read_model, tenant=tenant, orders=orders)
    missing = sorted(set(orders or ()) - {each.order_id for each in found})
    if missing or not found:
        told = ", ".join(map(str, missing))
        raise NotFound("not_parked", f"Not parked: {told}." if missing else "No order is parked.")
    keys = [each.key for each in found]
    arguments = {"orders": orders or "all", "read_model": read_model, "tenant": tenant, "note": note}
    async with recorded(conn, actor, "parked retry", arguments) as action:
        await conn.execute(_WANT, *zip(*keys, strict=True))
        action.details["wanted"] = len(keys)
        result = await _await_retry(conn, keys, seconds)
        action.details.update(
            unparked=[f"{key.read_model} {key.order_id}" for key in result.unparked],
            failed={f"{key.read_model} {key.order_id}": error for key, error in result.failed.items()},
            not_tried_yet=len(result.waiting),
        )
    return result


async def _await_retry(conn: asyncpg.Connection, keys: Collection[ParkedKey], seconds: float) -> Result:
    deadline = time.monotonic() + seconds
    while True:
        rows = await conn.fetch(_STANDING, *zip(*keys, strict=True))
        left = {ParkedKey(*tuple(row)[:4]): row for row in rows}
        waiting = [key for key, row in left.items() if row["retry_requested"]]
        if not waiting or time.monotonic() > deadline:
            failed = {key: row["error"] for key, row in left.items() if not row["retry_requested"]}
            return Result([key for key in keys if key not in left], failed, waiting)
        await asyncio.sleep(LOOK_INTERVAL)
