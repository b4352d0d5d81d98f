"""A retry of parked orders: each is folded again from the event store."""

from collections.abc import Mapping
from typing import NamedTuple

import asyncpg

from eventstore import EventStoreError
from projector.faults import Failure, tell, write_apart
from projector.parking import Parking
from projector.projection import Projection
from readmodels import UNKNOWN_OFFSET, OrderChange, OrderKey, Placed, ReadModel


class Tried(NamedTuple):
    """What came of a retry: the orders that are parked no longer, and why the others still are."""

    unparked: frozenset[OrderKey]
    failures: Mapping[OrderKey, Failure]


class NotStored(EventStoreError):
    """The store ends before an event of the order that has come: it was restored, and lacks some."""


async def try_again(
    conn: asyncpg.Connection,
    read_model: ReadModel,
    projection: Projection,
    parking: Parking,
    waiting: Mapping[OrderKey, Placed],
) -> Tried:
    """Fold parked orders, write those that fold and unpark them; within the caller's transaction."""
    folded = await projection.fold_stored(conn, dict.fromkeys(waiting))
    failures: dict[OrderKey, Failure] = {}
    changes = []
    for key, place in waiting.items():
        order, events, failure = folded[key]
        if failure is not None:
            failures[key] = failure
        elif order.version < place.version:
            lacking = f"the event store has the order up to version {order.version} only"
            failures[key] = Failure(order.version + 1, NotStored(lacking))
        elif order.version:
            # Ahead of the topic, its newest event lies nobody knows where.
            known = order.version == place.version
            offset = place.last_offset if known else UNKNOWN_OFFSET
            changes.append(OrderChange(order, place.partition, offset, events))
        # Else the record named an order that there never was: nothing is left to apply.
    failures.update(await write_apart(conn, read_model.rewrite, changes))
    unparked = frozenset(waiting.keys() - failures.keys())
    await parking.unpark(conn, unparked)
    failed = [(key, version, tell(error)) for key, (version, error) in failures.items()]
    await parking.failed_again(conn, failed)
    return Tried(unparked, failures)
