"""Which events a reader wants: told from a record's headers, before anything is parsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from commands import ORDERS


class Wanted(NamedTuple):
    """One tenant's events, and of these only some; None or no types means all.

    `types` are the domain's names, such as ItemAdded.
    """

    tenant: str
    types: frozenset[str] = frozenset()
    order_id: UUID | None = None
    actor: str | None = None

    def test(self) -> Test:
        """Return the same, ready to be asked of many records."""
        return Test(self)


class Test:
    """Compares headers with what is wanted, byte for byte."""

    def __init__(self, wanted: Wanted) -> None:
        self.tenant = wanted.tenant.encode()
        self._types = frozenset(f"{ORDERS.type_prefix}{name}".encode() for name in wanted.types)
        exactly = {"ce_subject": wanted.order_id, "ce_actor": wanted.actor}
        self._exactly = [(name, str(value).encode()) for name, value in exactly.items() if value is not None]

    def holds(self, headers: Mapping[str, bytes]) -> bool:
        """Tell whether a record with these headers is wanted."""
        return (
            headers.get("ce_tenantid") == self.tenant
            and (not self._types or headers.get("ce_type") in self._types)
            and all(headers.get(name) == value for name, value in self._exactly)
        )
