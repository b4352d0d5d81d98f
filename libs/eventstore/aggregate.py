"""The aggregate: what the event store must know of a kind of stream, and a wrapper for deciders."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, Protocol, TypeAlias, TypeVar
from uuid import UUID

S = TypeVar("S")
E = TypeVar("E")

Upcaster: TypeAlias = Callable[[dict[str, Any], int, datetime], dict[str, Any]]
"""Lifts a payload by one schema version: takes the payload (its own to change), the event's version in its
stream and its occurred_at; returns the payload of the next schema version."""


class AggregateType(Protocol[S]):
    """How one kind of aggregate lies in the store: its events' schemas, its fold and its snapshots' form."""

    @property
    def name(self) -> str:
        """What one of them is called, such as `order`: its events lie in `order_events`. Stored."""

    @property
    def schema_versions(self) -> Mapping[str, int]:
        """The newest schema version of each event type; the oldest of each is 1."""

    @property
    def upcasters(self) -> Mapping[tuple[str, int], Upcaster]:
        """For each event type and each schema version but the newest: the step to the next one."""

    @property
    def state_version(self) -> int:
        """The version of a snapshot's state. Snapshots of another one are ignored.

        Raise it whenever the state's shape, the fold or an upcaster changes what the same events give.
        """

    def initial_state(self, tenant_id: str, aggregate_id: UUID) -> S:
        """Give the state before the first event, at version 0."""

    def evolve_stored(
        self,
        state: S,
        event_type: str,
        payload: Mapping[str, Any],
        metadata: Mapping[str, Any],
        occurred_at: datetime,
    ) -> S:
        """Fold one stored event, its payload of the newest schema version, into the state."""

    def dump_state(self, state: S) -> str:
        """Give the state as JSON text, for a snapshot."""

    def load_state(self, text: str) -> S:
        """Take the state back from what `dump_state` gave."""

    def version(self, state: S) -> int:
        """Give the number of events folded into the state."""


class Aggregate(Generic[S, E]):
    """A state with the events recorded on it but not yet stored; wraps the `evolve` of any decider.

    The pattern is Vernon's event-sourced aggregate (Implementing Domain-Driven Design, appendix A) with the
    behaviour left in functions: `decide` looks at `state`, and what it returns is recorded.
    """

    __slots__ = ("_evolve", "_recorded", "_state", "_version")

    def __init__(self, state: S, evolve: Callable[[S, E], S], *, version: int = 0) -> None:
        """Start from a state that has `version` events folded into it."""
        self._state = state
        self._evolve = evolve
        self._version = version
        self._recorded: list[E] = []

    @property
    def state(self) -> S:
        """The state with every applied and recorded event folded in."""
        return self._state

    @property
    def version(self) -> int:
        """The number of events folded in, recorded ones included."""
        return self._version

    def apply(self, event: E) -> None:
        """Fold in an event that is stored already."""
        self._state = self._evolve(self._state, event)
        self._version += 1

    def record(self, event: E) -> None:
        """Fold in a new event and keep it for `pop_events`."""
        self.apply(event)
        self._recorded.append(event)

    def pop_events(self) -> tuple[E, ...]:
        """Give the recorded events, oldest first, and forget them."""
        events = tuple(self._recorded)
        self._recorded.clear()
        return events
