"""Turns records of `orders.events` into folded orders and has a read model write them."""

from collections.abc import Iterable, Mapping, Sequence

import asyncpg
import jiter
from cachetools import LRUCache
from prometheus_client import Counter

from eventstore import EventStore, StreamKey
from orders import Order, decode_event, evolve, initial_state
from projector.arrivals import Arrival
from readmodels import OrderChange, OrderKey, ReadModel

EVENTS = Counter(
    "tillstream_projected_events",
    "Events, by read model: applied, or skipped as not newer.",
    ["read_model", "what"],
)
LOADS = Counter("tillstream_projected_loads", "Orders folded from the event store.", ["read_model"])

CACHED_ORDERS = 20_000


Arrivals = Mapping[OrderKey, Sequence[Arrival]]


class Projection:
    """Folds what arrives, and keeps the orders it folded last.

    The kept orders are those the tables hold: they change only after the commit (`keep`), and only while no
    other process writes these partitions (else `forget`).
    """

    def __init__(self, read_model: ReadModel, store: EventStore[Order]) -> None:
        self._read_model = read_model
        self._store = store
        self._orders: LRUCache[OrderKey, Order] = LRUCache(CACHED_ORDERS)
        self._applied = EVENTS.labels(read_model.name, "applied")
        self._skipped = EVENTS.labels(read_model.name, "skipped")
        self._loads = LOADS.labels(read_model.name)

    def forget(self) -> None:
        """Drop the kept orders."""
        self._orders.clear()

    def keep(self, orders: Iterable[Order]) -> None:
        """Keep orders whose rows are committed."""
        for order in orders:
            self._orders[order.tenant_id, order.order_id] = order

    async def apply(self, conn: asyncpg.Connection, arrivals: Arrivals) -> list[Order]:
        """Write what the events change, within the caller's transaction, and return the changed orders.

        Raises eventstore's VersionNotFound when the topic holds an event that the store lacks (a restored
        database), and NewerSchema for an event that only a newer build knows.
        """
        applied = await self._applied_versions(conn, arrivals)
        folded: dict[OrderKey, Order] = {}
        gaps: dict[StreamKey, int] = {}
        skipped = 0
        for key, came in arrivals.items():
            before = applied.get(key, 0)
            newer = [arrival for arrival in came if arrival.version > before]
            skipped += len(came) - len(newer)
            if not newer:
                continue
            order = self._fold(self._orders.get(key) or initial_state(*key), before, newer)
            if order is None:
                gaps[StreamKey(*key)] = max(arrival.version for arrival in newer)
            else:
                folded[key] = order
        folded.update(await self._load(conn, gaps))
        if folded:
            changes = [_change(order, arrivals[key]) for key, order in folded.items()]
            await self._read_model.write(conn, changes)
        self._skipped.inc(skipped)
        self._applied.inc(sum(map(len, arrivals.values())) - skipped)
        return list(folded.values())

    async def _applied_versions(self, conn: asyncpg.Connection, arrivals: Arrivals) -> dict[OrderKey, int]:
        versions = {key: self._orders[key].version for key in arrivals if key in self._orders}
        unknown = [key for key in arrivals if key not in versions]
        if unknown:
            versions.update(await self._read_model.applied_versions(conn, unknown))
        return versions

    def _fold(self, order: Order, before: int, newer: Sequence[Arrival]) -> Order | None:
        """Return the order after the events; None when part of them has to come from the store."""
        if order.version != before:
            return None
        for version, event_type, schema_version, occurred_at, undoes, redoes, value, _, _ in newer:
            if version <= order.version:
                continue
            if version != order.version + 1:
                return None
            payload = jiter.from_json(value, float_mode="decimal")
            lifted = self._store.upcast(event_type, schema_version, payload, version, occurred_at)
            event = decode_event(event_type, lifted, occurred_at=occurred_at, undoes=undoes, redoes=redoes)
            order = evolve(order, event)
        return order

    async def _load(self, conn: asyncpg.Connection, gaps: Mapping[StreamKey, int]) -> dict[OrderKey, Order]:
        if not gaps:
            return {}
        self._loads.inc(len(gaps))
        loaded = await self._store.load_many_at(conn, gaps)
        return {key: found.state for key, found in loaded.items()}


def _change(order: Order, came: Sequence[Arrival]) -> OrderChange:
    newest = next(arrival for arrival in came if arrival.version == order.version)
    return OrderChange(order, newest.partition, newest.offset)
