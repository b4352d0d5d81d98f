"""What whoever follows events wants: which ones, and from where on."""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple
from uuid import UUID

from messaging import Vector

BEGINNING: Final = "beginning"
Start = Vector | Literal["beginning"] | None
"""A place in the topic, its beginning, or now."""


class EventFilter(NamedTuple):
    """Which events; None, or no types, where anything goes.

    `types` are the domain's names, such as ItemAdded.
    """

    tenant: str | None = None
    types: frozenset[str] = frozenset()
    order_id: UUID | None = None
    actor: str | None = None

    def test(self, type_prefix: str) -> "HeadersTest":
        """Return the same, ready to be asked of many records whose types have this prefix."""
        return HeadersTest(self, type_prefix)


class HeadersTest:
    """Compares a record's headers with what is wanted, byte for byte, before anything is parsed."""

    def __init__(self, wanted: EventFilter, type_prefix: str) -> None:
        exactly = {"ce_tenantid": wanted.tenant, "ce_subject": wanted.order_id, "ce_actor": wanted.actor}
        self._types = frozenset(f"{type_prefix}{name}".encode() for name in wanted.types)
        self._exactly = [(name, str(value).encode()) for name, value in exactly.items() if value is not None]

    def holds(self, headers: Mapping[str, bytes]) -> bool:
        """Tell whether a record with these headers is wanted."""
        return all(headers.get(name) == value for name, value in self._exactly) and (
            not self._types or headers.get("ce_type") in self._types
        )


def parse_start(text: str | None) -> Start:
    """Return where to begin: None is now. Raises BadVector for what is no place."""
    if text is None:
        return None
    return BEGINNING if text == BEGINNING else Vector.parse(text)
