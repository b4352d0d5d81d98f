"""The fold of the log, by the events alone: without snapshots, caches or anything a projector keeps."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from eventstore import StoredEvent, StreamKey
from orders import decode_event, evolve, initial_state
from readmodels import AppliedEvent, Ledger, OrderChange, Provenance, ReadModel

Row = tuple[object, ...]


class FoldedOrder:
    """One order's events, folded step by step."""

    def __init__(self, key: StreamKey, history: Sequence[StoredEvent]) -> None:
        """Fold a history whose versions are 1 to n."""
        self._steps: list[AppliedEvent] = []
        order = initial_state(*key)
        for stored in history:
            metadata = stored.metadata
            event = decode_event(
                stored.event_type,
                stored.payload,
                occurred_at=stored.occurred_at,
                undoes=metadata.get("undoes", ()),
                redoes=metadata.get("redoes", ()),
            )
            provenance = Provenance(
                metadata["actor"],
                stored.recorded_at,
                UUID(metadata["causation_id"]),
                metadata["correlation_id"],
            )
            after = evolve(order, event)
            self._steps.append(AppliedEvent(event, provenance, order, after))
            order = after

    @property
    def version(self) -> int:
        """How many events there are."""
        return len(self._steps)

    def rows(self, read_model: type[ReadModel], version: int) -> list[list[Row]]:
        """Return what the read model should hold of the order at a version, by table; nothing at version 0.

        Rows of a table are in the order of their versions and lines. Where on the topic the order lies is
        not told by the log: partition and offset are 0.
        """
        if not version:
            return []
        order = self._steps[version - 1].after
        events = self._steps[:version] if read_model.needs_events else ()
        change = OrderChange(order, 0, 0, events)
        rows = [list(read_model.rows(change))]
        if issubclass(read_model, Ledger):
            rows.append(sorted(read_model.entries(change), key=lambda entry: entry[2:4]))
        return rows
