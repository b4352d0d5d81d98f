"""Turns records of `orders.events` into folded orders and has a read model write them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg
import jiter
from cachetools import LRUCache
from prometheus_client import Counter

from eventstore import EventStore, StoredEvent, StreamKey, VersionNotFound
from orders import Event, Order, decode_event, evolve, initial_state
from projector.arrivals import Arrival, read_provenance
from readmodels import AppliedEvent, OrderChange, OrderKey, Provenance, ReadModel

EVENTS = Counter(
    "tillstream_projected_events",
    "Events, by read model: applied, or skipped as not newer.",
    ["read_model", "what"],
)
LOADS = Counter("tillstream_projected_loads", "Orders folded from the event store.", ["read_model"])

CACHED_ORDERS = 20_000


Arrivals = Mapping[OrderKey, Sequence[Arrival]]


class _Folded(NamedTuple):
    """An order as it is now, and how it came there if the read model wants to know."""

    order: Order
    events: Sequence[AppliedEvent] = ()


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
        folded: dict[OrderKey, _Folded] = {}
        gaps: dict[StreamKey, tuple[int, int]] = {}
        skipped = 0
        for key, came in arrivals.items():
            before = applied.get(key, 0)
            newer = [arrival for arrival in came if arrival.version > before]
            skipped += len(came) - len(newer)
            if not newer:
                continue
            now = self._fold(self._orders.get(key) or initial_state(*key), before, newer)
            if now is None:
                gaps[StreamKey(*key)] = (before, max(arrival.version for arrival in newer))
            else:
                folded[key] = now
        folded.update(await self._load(conn, gaps))
        if folded:
            changes = [_change(now, arrivals[key]) for key, now in folded.items()]
            await self._read_model.write(conn, changes)
        self._skipped.inc(skipped)
        self._applied.inc(sum(map(len, arrivals.values())) - skipped)
        return [now.order for now in folded.values()]

    async def _applied_versions(self, conn: asyncpg.Connection, arrivals: Arrivals) -> dict[OrderKey, int]:
        versions = {key: self._orders[key].version for key in arrivals if key in self._orders}
        unknown = [key for key in arrivals if key not in versions]
        if unknown:
            versions.update(await self._read_model.applied_versions(conn, unknown))
        return versions

    def _fold(self, order: Order, before: int, newer: Sequence[Arrival]) -> _Folded | None:
        """Return the order after the events; None when part of them has to come from the store."""
        if order.version != before:
            return None
        events: list[AppliedEvent] | None = [] if self._read_model.needs_events else None
        for version, event_type, schema_version, occurred_at, undoes, redoes, record in newer:
            if version <= order.version:
                continue
            if version != order.version + 1:
                return None
            payload = jiter.from_json(record.value or b"{}", float_mode="decimal")
            lifted = self._store.upcast(event_type, schema_version, payload, version, occurred_at)
            event = decode_event(event_type, lifted, occurred_at=occurred_at, undoes=undoes, redoes=redoes)
            after = evolve(order, event)
            if events is not None:
                events.append(AppliedEvent(event, read_provenance(record), order, after))
            order = after
        return _Folded(order, events or ())

    async def _load(
        self, conn: asyncpg.Connection, gaps: Mapping[StreamKey, tuple[int, int]]
    ) -> dict[OrderKey, _Folded]:
        """Fold orders from the store, each from its applied version to the newest that has come."""
        if not gaps:
            return {}
        self._loads.inc(len(gaps))
        if not self._read_model.needs_events:
            newest = {key: version for key, (_, version) in gaps.items()}
            loaded = await self._store.load_many_at(conn, newest)
            return {key: _Folded(found.state) for key, found in loaded.items()}
        applied = await self._store.load_many_at(conn, {key: before for key, (before, _) in gaps.items()})
        # A second look is safe: what a stream holds up to a version never changes.
        histories = await self._store.histories(conn, gaps)
        folded: dict[OrderKey, _Folded] = {}
        short: dict[StreamKey, int] = {}
        for key, (_, newest_version) in gaps.items():
            now = folded[key] = _replay(applied[key].state, histories[key])
            if now.order.version != newest_version:
                short[key] = now.order.version
        if short:
            raise VersionNotFound(short)
        return folded


def _replay(order: Order, history: Iterable[StoredEvent]) -> _Folded:
    events = []
    for stored in history:
        event, metadata = _event(stored), stored.metadata
        provenance = Provenance(
            metadata["actor"], stored.recorded_at, UUID(metadata["causation_id"]), metadata["correlation_id"]
        )
        after = evolve(order, event)
        events.append(AppliedEvent(event, provenance, order, after))
        order = after
    return _Folded(order, events)


def _event(stored: StoredEvent) -> Event:
    return decode_event(
        stored.event_type,
        stored.payload,
        occurred_at=stored.occurred_at,
        undoes=stored.metadata.get("undoes", ()),
        redoes=stored.metadata.get("redoes", ()),
    )


def _change(now: _Folded, came: Sequence[Arrival]) -> OrderChange:
    newest = next(arrival.record for arrival in came if arrival.version == now.order.version)
    return OrderChange(now.order, newest.partition, newest.offset, now.events)
