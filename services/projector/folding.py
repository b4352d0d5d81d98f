"""Folds orders from what arrived and from the event store; what fails is one order's failure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import asyncpg
import jiter

from eventstore import EventStore, StoredEvent, StreamKey
from orders import Order, decode_event, evolve, initial_state
from projector.event_records import EventRecord, read_provenance
from projector.faults import Failure, is_orders_fault
from readmodels import AppliedEvent, OrderChange, OrderKey, Placed, fold


class Folded(NamedTuple):
    """An order as far as it could be folded, how it came there if that was asked for, and what failed."""

    order: Order
    events: Sequence[AppliedEvent] = ()
    failure: Failure | None = None


def sort_out(
    folded: Mapping[OrderKey, Folded], places: Mapping[OrderKey, Placed]
) -> tuple[list[OrderChange], dict[OrderKey, Failure]]:
    """Return what is to be written, each order at its place, and what failed; of unknown orders neither."""
    failures = {key: now.failure for key, now in folded.items() if now.failure is not None}
    changes = [
        OrderChange(
            now.order,
            places[key].partition,
            places[key].last_offset,
            now.events[-1].provenance.recorded_at,
            now.events,
        )
        for key, now in folded.items()
        if now.order.version and key not in failures
    ]
    return changes, failures


def fold_arrivals(
    store: EventStore[Order], order: Order, newer: Sequence[EventRecord], *, with_events: bool
) -> Folded | None:
    """Return the order after the events; None when part of them has to come from the store."""
    events: list[AppliedEvent] | None = [] if with_events else None
    for version, event_type, schema_version, occurred_at, _, undoes, redoes, record in newer:
        if version <= order.version:
            continue
        if version != order.version + 1:
            return None
        try:
            payload = jiter.from_json(record.value or b"{}", float_mode="decimal")
            lifted = store.upcast(event_type, schema_version, payload, version, occurred_at)
            event = decode_event(event_type, lifted, occurred_at=occurred_at, undoes=undoes, redoes=redoes)
            after = evolve(order, event)
            if events is not None:
                events.append(AppliedEvent(event, read_provenance(record), order, after))
        except Exception as error:
            if not is_orders_fault(error):
                raise
            return Folded(order, events or (), Failure(version, error))
        order = after
    return Folded(order, events or ())


async def fold_stored(
    store: EventStore[Order], conn: asyncpg.Connection, up_to: Mapping[OrderKey, int | None]
) -> dict[OrderKey, Folded]:
    """Fold each order from its first event up to a version (None: the newest), or as far as the store has it.

    Every event counts: no snapshot of an earlier build is trusted. Raises NewerSchema, and what the database
    raises.
    """
    ranges = {StreamKey(*key): (0, version) for key, version in up_to.items()}
    try:
        histories = await store.histories(conn, ranges)
    except Exception as error:
        if not is_orders_fault(error):
            raise
        return {key: await _fold_by_itself(store, conn, key, version) for key, version in up_to.items()}
    return {key: replay(initial_state(*key), history) for key, history in histories.items()}


async def _fold_by_itself(
    store: EventStore[Order], conn: asyncpg.Connection, key: OrderKey, up_to: int | None
) -> Folded:
    """Fold one order, event by event where it can't be read as a whole."""
    stream = StreamKey(*key)
    try:
        return replay(initial_state(*key), (await store.histories(conn, {stream: (0, up_to)}))[stream])
    except Exception as error:
        if not is_orders_fault(error):
            raise
    history: list[StoredEvent] = []
    while up_to is None or len(history) < up_to:
        try:
            event = await store.history(conn, stream, len(history), limit=1)
        except Exception as error:
            if not is_orders_fault(error):
                raise
            folded = replay(initial_state(*key), history)
            return folded if folded.failure else folded._replace(failure=Failure(len(history) + 1, error))
        if not event:
            break
        history += event
    return replay(initial_state(*key), history)


def replay(order: Order, history: Iterable[StoredEvent]) -> Folded:
    """Return the order after stored events, and each of them with the order before and after it."""
    events: list[AppliedEvent] = []
    try:
        for applied in fold(order, history):
            events.append(applied)
            order = applied.after
    except Exception as error:
        if not is_orders_fault(error):
            raise
        return Folded(order, events, Failure(order.version + 1, error))
    return Folded(order, events)
