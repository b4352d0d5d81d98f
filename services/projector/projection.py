"""Turns records of `orders.events` into folded orders and has a read model write them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import asyncpg
from cachetools import LRUCache
from prometheus_client import Counter

from eventstore import EventStore, StreamKey, VersionNotFound
from orders import Order, initial_state
from projector.event_records import EventRecord
from projector.faults import Failure, is_orders_fault, write_apart
from projector.folding import Folded, fold_arrivals, fold_stored, replay
from readmodels import OrderChange, OrderKey, ReadModel

EVENTS = Counter(
    "tillstream_projected_events",
    "Events, by read model: applied, skipped as not newer, or failed.",
    ["read_model", "what"],
)
LOADS = Counter("tillstream_projected_loads", "Orders folded from the event store.", ["read_model"])

CACHED_ORDERS = 20_000


Arrivals = Mapping[OrderKey, Sequence[EventRecord]]


class Batch(NamedTuple):
    """What events change: the orders to write, why not of those that fail, and how many of them are newer."""

    changes: Sequence[OrderChange]
    failures: Mapping[OrderKey, Failure]
    newer_count: int


class Applied(NamedTuple):
    """The orders whose rows were written, and why not of those that could not be, or not to their newest."""

    orders: Sequence[Order]
    failures: Mapping[OrderKey, Failure]


class Projection:
    """Folds what arrives, and keeps the orders it folded last.

    The kept orders are those the tables hold: they change only after the commit (`keep`), and only while no
    other process writes these partitions (else `forget`).
    """

    def __init__(self, read_model: ReadModel, store: EventStore[Order]) -> None:
        self._read_model = read_model
        self.store = store
        self._orders: LRUCache[OrderKey, Order] = LRUCache(CACHED_ORDERS)
        self._applied = EVENTS.labels(read_model.name, "applied")
        self._skipped = EVENTS.labels(read_model.name, "skipped")
        self._failed = EVENTS.labels(read_model.name, "failed")
        self._loads = LOADS.labels(read_model.name)

    def forget(self, keys: Iterable[OrderKey] | None = None) -> None:
        """Drop the kept orders, all or these."""
        if keys is None:
            self._orders.clear()
            return
        for key in keys:
            self._orders.pop(key, None)

    def keep(self, orders: Iterable[Order]) -> None:
        """Keep orders whose rows are committed."""
        for order in orders:
            self._orders[order.tenant_id, order.order_id] = order

    async def apply(self, conn: asyncpg.Connection, arrivals: Arrivals, *, apart: bool = False) -> Applied:
        """Write what the events change, within the caller's transaction.

        For an order that the database refuses the transaction fails, with what `is_orders_fault` tells; only
        when asked to write `apart` it fails alone, at some cost. Raises what `fold` raises.
        """
        batch = await self.fold(conn, arrivals)
        failures = {**batch.failures}
        if apart:
            failures.update(await write_apart(conn, self._read_model.write, batch.changes))
        elif batch.changes:
            await self._read_model.write(conn, batch.changes)
        return self.applied(arrivals, batch._replace(failures=failures))

    async def fold(self, conn: asyncpg.Connection, arrivals: Arrivals) -> Batch:
        """Fold the orders that events arrived for; one that fails, fails alone.

        Raises eventstore's VersionNotFound when the topic holds an event that the store lacks (a restored
        database), and NewerSchema for an event that only a newer build knows.
        """
        before = await self._applied_versions(conn, arrivals)
        folded: dict[OrderKey, Folded] = {}
        gaps: dict[StreamKey, tuple[int, int]] = {}
        newer_count = 0
        for key, came in arrivals.items():
            applied = before.get(key, 0)
            newer = [arrival for arrival in came if arrival.version > applied]
            newer_count += len(newer)
            if not newer:
                continue
            order = self._orders.get(key) or initial_state(*key)
            now = None
            if order.version == applied:
                now = fold_arrivals(self.store, order, newer, with_events=self._read_model.needs_events)
            if now is None:
                gaps[StreamKey(*key)] = (applied, max(arrival.version for arrival in newer))
            else:
                folded[key] = now
        folded.update(await self._load(conn, gaps))
        failures = {key: now.failure for key, now in folded.items() if now.failure is not None}
        changes = {key: _change(now, arrivals[key]) for key, now in folded.items()}
        changed = [
            change
            for key, change in changes.items()
            if change is not None and change.order.version > before.get(key, 0)
        ]
        return Batch(changed, failures, newer_count)

    def applied(self, arrivals: Arrivals, batch: Batch) -> Applied:
        """Count what was written of a batch, and return it."""
        failed = sum(
            arrival.version >= failure.version
            for key, failure in batch.failures.items()
            for arrival in arrivals[key]
        )
        self._skipped.inc(sum(map(len, arrivals.values())) - batch.newer_count)
        self._applied.inc(max(0, batch.newer_count - failed))
        self._failed.inc(failed)
        orders = [change.order for change in batch.changes]
        if batch.failures:
            orders = [order for order in orders if (order.tenant_id, order.order_id) not in batch.failures]
        return Applied(orders, batch.failures)

    async def fold_stored(
        self, conn: asyncpg.Connection, up_to: Mapping[OrderKey, int | None]
    ) -> dict[OrderKey, Folded]:
        """Fold each order from its first event in the store up to a version (None: the newest it has)."""
        self._loads.inc(len(up_to))
        return await fold_stored(self.store, conn, up_to)

    async def _applied_versions(self, conn: asyncpg.Connection, arrivals: Arrivals) -> dict[OrderKey, int]:
        versions = {key: self._orders[key].version for key in arrivals if key in self._orders}
        unknown = [key for key in arrivals if key not in versions]
        if unknown:
            versions.update(await self._read_model.applied_versions(conn, unknown))
        return versions

    async def _load(
        self, conn: asyncpg.Connection, gaps: Mapping[StreamKey, tuple[int, int]]
    ) -> dict[OrderKey, Folded]:
        """Fold orders from the store, each from its applied version to the newest that has come."""
        if not gaps:
            return {}
        try:
            self._loads.inc(len(gaps))
            return await self._load_together(conn, gaps)
        except Exception as error:
            if not is_orders_fault(error):
                raise
        newest: dict[OrderKey, int | None] = {key: version for key, (_, version) in gaps.items()}
        folded = await self.fold_stored(conn, newest)
        _refuse_short(folded, gaps)
        return folded

    async def _load_together(
        self, conn: asyncpg.Connection, gaps: Mapping[StreamKey, tuple[int, int]]
    ) -> dict[OrderKey, Folded]:
        newest = {key: version for key, (_, version) in gaps.items()}
        if not self._read_model.needs_events:
            loaded = await self.store.load_many_at(conn, newest)
            return {key: Folded(found.state) for key, found in loaded.items()}
        applied = await self.store.load_many_at(conn, {key: before for key, (before, _) in gaps.items()})
        # A second look is safe: what a stream holds up to a version never changes.
        histories = await self.store.histories(conn, gaps)
        folded: dict[OrderKey, Folded] = {key: replay(applied[key].state, histories[key]) for key in gaps}
        _refuse_short(folded, gaps)
        return folded


def _refuse_short(folded: Mapping[OrderKey, Folded], gaps: Mapping[StreamKey, tuple[int, int]]) -> None:
    short = {
        key: folded[key].order.version
        for key, (_, version) in gaps.items()
        if folded[key].failure is None and folded[key].order.version < version
    }
    if short:
        raise VersionNotFound(short)


def _change(now: Folded, came: Sequence[EventRecord]) -> OrderChange | None:
    """Return the change, with its place; None where a failure ended it at an event that did not come now."""
    for arrival in came:
        if arrival.version == now.order.version:
            record = arrival.record
            return OrderChange(now.order, record.partition, record.offset, arrival.recorded_at, now.events)
    return None
