"""The upcaster chain: old events are never rewritten, but lifted to the newest schema version on read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from eventstore.aggregate import Upcaster
from eventstore.errors import NewerSchema, UpcasterGap


class UpcasterChain:
    """Leads each event type from schema version 1, one step at a time, to its newest one.

    The technique is Young's, Versioning in an Event Sourced System (2017). Raises `UpcasterGap` at
    construction, so that a forgotten step stops a service at its start and not at the first old event.
    """

    def __init__(self, newest: Mapping[str, int], upcasters: Mapping[tuple[str, int], Upcaster]) -> None:
        needed = {(kind, step) for kind, version in newest.items() for step in range(1, version)}
        if missing := needed - upcasters.keys():
            raise UpcasterGap(f"no upcaster from {_steps(missing)}")
        if loose := upcasters.keys() - needed:
            raise UpcasterGap(f"upcasters that lead nowhere: {_steps(loose)}")
        self._newest = dict(newest)
        self._upcasters = dict(upcasters)

    def newest(self, event_type: str) -> int:
        """Give the newest schema version of an event type. Raises `NewerSchema` for an unknown type."""
        try:
            return self._newest[event_type]
        except KeyError:
            raise NewerSchema(f"event type {event_type!r} is unknown to this build") from None

    def upcast(
        self,
        event_type: str,
        schema_version: int,
        payload: dict[str, Any],
        version: int,
        occurred_at: datetime,
    ) -> dict[str, Any]:
        """Lift a payload to the newest schema version. May change the dict that it is given."""
        newest = self.newest(event_type)
        if schema_version > newest:
            raise NewerSchema(
                f"{event_type} has schema version {schema_version}, this build knows up to {newest}"
            )
        for step in range(schema_version, newest):
            payload = self._upcasters[event_type, step](payload, version, occurred_at)
        return payload


def _steps(steps: set[tuple[str, int]]) -> str:
    return ", ".join(f"{event_type} {version}" for event_type, version in sorted(steps))
