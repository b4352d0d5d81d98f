"""The fold of the log, by the events alone: without snapshots, caches or anything a projector keeps."""

from collections.abc import Sequence

from eventstore import StoredEvent, StreamKey
from orders import initial_state
from readmodels import EventRows, OrderChange, ReadModel, Row, fold


class FoldedOrder:
    """One order's events, folded step by step."""

    def __init__(self, key: StreamKey, history: Sequence[StoredEvent]) -> None:
        """Fold a history whose versions are 1 to n."""
        self._steps = list(fold(initial_state(*key), history))

    @property
    def version(self) -> int:
        """How many events there are."""
        return len(self._steps)

    def rows(self, read_model: ReadModel, version: int) -> list[list[Row]]:
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
        if isinstance(read_model, EventRows):
            rows.append(sorted(read_model.entries(change), key=lambda entry: entry[2:4]))
        return rows
