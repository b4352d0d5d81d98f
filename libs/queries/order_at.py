"""One order from the event store: as it is, as it was, and what happened to it."""

from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from eventstore import EventStore, Loaded, StoredEvent, StreamKey, VersionNotFound
from orders import ORDER, Order
from queries.conditions import Clock
from queries.errors import NoSuchOrder, NoSuchVersion, NotCreatedYet

STORE: Final = EventStore(ORDER)

Point = int | datetime
"""Where an order was: at a version, from 1, or at a time."""


async def order_at(
    conn: asyncpg.Connection,
    tenant_id: str,
    order_id: UUID,
    point: Point | None = None,
    clock: Clock = Clock.recorded,
) -> Loaded[Order]:
    """Return an order as it was at a version, or at a time by the clock; None: as it is.

    Raises NoSuchOrder, NoSuchVersion and NotCreatedYet.
    """
    key = StreamKey(tenant_id, order_id)
    if isinstance(point, datetime):
        loaded = await STORE.load_as_of(conn, key, point, clock.value)
        if not loaded.version:
            (first,) = await order_history(conn, *key, limit=1)
            raise NotCreatedYet(point, first)
        return loaded
    if point is not None:
        try:
            return await STORE.load_at_version(conn, key, point)
        except VersionNotFound:
            newest = await order_at(conn, *key)
            raise NoSuchVersion(point, newest.version) from None
    loaded = await STORE.load(conn, key)
    if not loaded.version:
        raise NoSuchOrder
    return loaded


async def order_history(
    conn: asyncpg.Connection, tenant_id: str, order_id: UUID, *, after: int = 0, limit: int | None = None
) -> list[StoredEvent]:
    """Return what happened to an order after a version, oldest first, `limit` events at most.

    Raises NoSuchOrder.
    """
    key = StreamKey(tenant_id, order_id)
    events = await STORE.history(conn, key, after, limit)
    if not events and (after == 0 or not await STORE.history(conn, key, 0, 1)):
        raise NoSuchOrder
    return events
