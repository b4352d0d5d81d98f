"""What the mechanism must know of an aggregate type to take its commands and to send its events."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from eventstore import EventStore
from messaging import Topics

S = TypeVar("S")


class Domain(Protocol):
    """A domain's package, such as `orders`: pure functions. Its commands, events and states are its own."""

    @property
    def Command(self) -> Callable[..., Any]:  # noqa: N802 - a class
        """Make a command of its id, aggregate id, tenant, actor, time, data, expected version, and settings.

        The tenant's settings are its time zone (IANA) and the local time at which its business days end.
        """

    @property
    def Rejected(self) -> type[Any]:  # noqa: N802 - a class
        """Why a command is refused: an exception with `code` and `message`, made of a code and a message.

        Among its codes are malformed, bad_key, wrong_partition, command_id_reused and clock_ahead; without a
        message it has the code's.
        """

    def parse_command(self, command_type: str, data: object, /) -> Any:  # noqa: ANN401 - the domain's
        """Return the command's data of a JSON value. Raises Rejected."""

    def canonical_json(self, data: Any, /) -> str:  # noqa: ANN401 - the domain's
        """Return a command's data as JSON text that is the same however the sender wrote it."""

    def decide(self, command: Any, state: Any, /) -> Sequence[Any]:  # noqa: ANN401 - the domain's
        """Return the events, each with `occurred_at`; none for what is done already. Raises Rejected."""

    def evolve(self, state: Any, event: Any, /) -> Any:  # noqa: ANN401 - the domain's
        """Return the state after an event."""

    def decode_event(
        self,
        event_type: str,
        payload: Mapping[str, Any],
        /,
        *,
        occurred_at: datetime,
        undoes: Sequence[int],
        redoes: Sequence[int],
    ) -> Any:  # noqa: ANN401 - the domain's
        """Return the event of a payload in its newest schema version. Raises LookupError and ValueError."""

    def encode_event(self, event: Any, /) -> tuple[str, int, str]:  # noqa: ANN401 - the domain's
        """Return the event's type, its newest schema version and its payload as JSON text."""

    def event_metadata(self, event: Any, /) -> Mapping[str, Sequence[int]]:  # noqa: ANN401 - the domain's
        """Return the versions that the event `undoes` or `redoes`, if any."""


@dataclass(frozen=True)
class Context(Generic[S]):
    """One aggregate type with its streams, its topics and its commands.

    `name` begins the names of its topics and the types of its messages; `command_group` is the consumer group
    of its command services, and their name in logs.
    """

    name: str
    store: EventStore[S]
    domain: Domain
    command_group: str

    @cached_property
    def type_prefix(self) -> str:
        """What the type of each of its messages begins with, such as `orders.`."""
        return f"{self.name}."

    def topics(self, prefix: str = "") -> Topics:
        """Return its topics in the installation that a prefix names."""
        return Topics(self.name, prefix)
