"""The fold of an order's stored events: each with who caused it, and the order before and after it."""

from collections.abc import Iterable, Iterator
from uuid import UUID

from eventstore import BrokenStream, StoredEvent
from orders import Order, decode_event, evolve
from readmodels.read_model import AppliedEvent, Provenance


def fold(order: Order, history: Iterable[StoredEvent]) -> Iterator[AppliedEvent]:
    """Give each of the order's next events, with the order before and after it.

    Raises BrokenStream where a version is missing, and what `decode_event` and `evolve` do.
    """
    for stored in history:
        due = order.version + 1
        if stored.version != due:
            raise BrokenStream(f"{stored.version} comes before {due}")
        metadata = stored.metadata
        event = decode_event(
            stored.event_type,
            stored.payload,
            occurred_at=stored.occurred_at,
            undoes=metadata.get("undoes", ()),
            redoes=metadata.get("redoes", ()),
        )
        provenance = Provenance(
            metadata["actor"], stored.recorded_at, UUID(metadata["causation_id"]), metadata["correlation_id"]
        )
        applied = AppliedEvent(event, provenance, order, evolve(order, event))
        yield applied
        order = applied.after
