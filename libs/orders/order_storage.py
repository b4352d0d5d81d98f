"""How an order lies in the event store: types, versions, payloads, snapshots. Stored: version with care."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from orders.events import EVENT_MODELS, EVENT_TYPES, Event
from orders.order import Order, evolve, initial_state
from orders.upcasters import UPCASTERS, Upcaster

# An event type with upcasters is one version past the last of them; the others are at 1.
SCHEMA_VERSIONS: Mapping[str, int] = {
    event_type: 1 + max((version for name, version in UPCASTERS if name == event_type), default=0)
    for event_type in EVENT_TYPES
}
# Raise it with any change of Order, Line, Step or the discounts: older snapshots are then left unread.
STATE_VERSION = 1

_WITHOUT_TYPE = {"type"}
_ORDER = TypeAdapter(Order)


def encode_event(event: Event) -> tuple[str, int, str]:
    """Return the event's type, its newest schema version and its payload as JSON text."""
    data = event.data
    payload = data.model_dump_json(exclude=_WITHOUT_TYPE, exclude_none=True)
    return data.type, SCHEMA_VERSIONS[data.type], payload


def event_metadata(event: Event) -> dict[str, list[int]]:
    """Return what the event says of undo and redo: {"undoes": [versions]}, {"redoes": [...]} or {}."""
    metadata = {}
    if event.undoes:
        metadata["undoes"] = list(event.undoes)
    if event.redoes:
        metadata["redoes"] = list(event.redoes)
    return metadata


def decode_event(
    event_type: str,
    payload: Mapping[str, Any],
    *,
    occurred_at: datetime,
    undoes: Sequence[int] = (),
    redoes: Sequence[int] = (),
) -> Event:
    """Return the event of a payload in its newest schema version.

    Raises LookupError for an unknown type and pydantic's ValidationError (a ValueError) for another shape.
    """
    data = EVENT_MODELS[event_type].model_validate(dict(payload))
    return Event(data, occurred_at, tuple(undoes), tuple(redoes))


class OrderType:
    """What an event store needs to know of orders: how to fold, lift and keep them."""

    name: str = "order"
    schema_versions: Mapping[str, int] = SCHEMA_VERSIONS
    upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS
    state_version: int = STATE_VERSION

    def initial_state(self, tenant_id: str, aggregate_id: UUID) -> Order:
        """Return the order before its first event."""
        return initial_state(tenant_id, aggregate_id)

    def evolve_stored(
        self,
        state: Order,
        event_type: str,
        payload: Mapping[str, Any],
        metadata: Mapping[str, Any],
        occurred_at: datetime,
    ) -> Order:
        """Return the order after a stored event whose payload is in its newest schema version."""
        undoes, redoes = metadata.get("undoes", ()), metadata.get("redoes", ())
        return evolve(
            state, decode_event(event_type, payload, occurred_at=occurred_at, undoes=undoes, redoes=redoes)
        )

    def dump_state(self, state: Order) -> str:
        """Return the order as JSON text, undo and redo stacks included."""
        return _ORDER.dump_json(state, exclude_none=True).decode()

    def load_state(self, text: str) -> Order:
        """Return the order of a `dump_state` text of this state version. Raises ValueError for another."""
        return _ORDER.validate_json(text)

    def version(self, state: Order) -> int:
        """Return the order's version."""
        return state.version


ORDER = OrderType()
