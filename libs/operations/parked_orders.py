"""Parked orders as an operator meets them: with the event at fault, and tried again on the record."""

import asyncio
import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from commands import ORDERS
from operations.actions import recorded
from operations.errors import NotFound
from readmodels.parked import ParkedKey, ParkedOrder, find_parked, still_parked, want_retry

LOOK_INTERVAL = 0.2

_EVENT = """
SELECT event_type, schema_version, occurred_at, recorded_at, payload, metadata FROM {events}
WHERE tenant_id = $1 AND aggregate_id = $2 AND version = $3
"""


@dataclass(frozen=True)
class Result:
    """What came of a retry: unparked, failed again (key → error), or not tried in time."""

    unparked: Sequence[ParkedKey]
    failed: Mapping[ParkedKey, str]
    waiting: Sequence[ParkedKey]


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
    row = await conn.fetchrow(
        ORDERS.store.tables.sql(_EVENT), parked.tenant_id, parked.order_id, parked.version
    )
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
        await want_retry(conn, keys)
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
        left = await still_parked(conn, keys)
        waiting = [key for key, (requested, _) in left.items() if requested]
        if not waiting or time.monotonic() > deadline:
            failed = {key: error for key, (requested, error) in left.items() if not requested}
            return Result([key for key in keys if key not in left], failed, waiting)
        await asyncio.sleep(LOOK_INTERVAL)
