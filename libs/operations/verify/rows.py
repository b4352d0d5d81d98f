"""The rows a read model holds beside those it should hold."""

import json
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

from eventstore import StoredEvent, StreamKey
from operations.verify.findings import Field
from orders import initial_state
from readmodels import EventRows, OrderChange, ReadModel, Row, fold
from readmodels.order_rows import Rows

# What the log doesn't tell: where on the topic an order's newest event lies, and who wrote the row when.
_PLACE = frozenset({"partition", "last_offset", "changed"})


class FoldedOrder:
    """One order's events, folded step by step: without snapshots, caches or anything a projector keeps."""

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
        newest = self._steps[version - 1]
        order = newest.after
        events = self._steps[:version] if read_model.needs_events else ()
        change = OrderChange(order, 0, 0, newest.provenance.recorded_at, events)
        rows = [list(read_model.rows(change))]
        if isinstance(read_model, EventRows):
            rows.append(sorted(read_model.entries(change), key=lambda entry: entry[2:4]))
        return rows


def compared(found: Rows, due: Sequence[Iterable[Row]]) -> list[Field]:
    """Return the fields of the first row that is not what it should be; nothing when all rows are.

    Both are by table. Rows of one table are compared in the order of their versions and lines.
    """
    for of_table, should_be in zip_longest(found, due, fillvalue=()):
        in_order = sorted(of_table, key=lambda row: (row.get("version", 0), row.get("line_id") or ""))
        for there, should in zip_longest(in_order, should_be):
            fields = _fields(there, should)
            if any(field.differs for field in fields):
                return fields
    return []


def _fields(there: dict[str, Any] | None, should: Row | None) -> list[Field]:
    if there is None:
        # No row, so no columns to name the values by.
        return [Field("row", None, ", ".join(map(str, should or ())), differs=True)]
    fields = []
    for place, (name, value) in enumerate(there.items()):
        if name in _PLACE:
            continue
        expected = None if should is None else _like(should[place], value)
        fields.append(Field(name, value, expected, differs=should is None or value != expected))
    return fields


def _like(written: object, value: Any) -> object:  # noqa: ANN401 - any column's value
    """Return what was given to be written as it would be read: JSON and arrays are given as text."""
    if isinstance(written, str) and isinstance(value, dict):
        return json.loads(written)
    if isinstance(written, str) and isinstance(value, list):
        return [int(part) for part in written.strip("{}").split(",") if part]
    return written
