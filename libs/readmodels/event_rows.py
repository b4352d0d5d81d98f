"""Read models that keep rows of single events, which stay, beside what they know of each order."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import ClassVar

from readmodels.columns import Columns
from readmodels.read_model import AppliedEvent, OrderChange, ReadModel

Row = tuple[object, ...]


class EventRows(ReadModel):
    """A read model that `needs_events`, with a row per order and rows of single events: its entries.

    `write_sql` takes an array for each element of `rows`, then one for each element of `entries`. A row of an
    order or an entry begins with the columns of its table, in their order. Where a change does not begin with
    the order's first event, what they hold is only what the change tells: the rest stands in the order's row,
    and `write_sql` finds it there.
    """

    needs_events: ClassVar = True
    entries_table: ClassVar[str]
    entry_columns: ClassVar[int]
    """How many elements an entry has."""

    @staticmethod
    @abstractmethod
    def entries(change: OrderChange) -> Iterable[Row]:
        """Return the entries of a change's events."""

    def _columns(self, changes: Sequence[OrderChange]) -> Iterable[Row]:
        entries = list(chain.from_iterable(map(self.entries, changes)))
        columns = zip(*entries, strict=True) if entries else iter([()] * self.entry_columns)
        return chain(super()._columns(changes), columns)


def came_with_time(orders_table: str, orders: Columns) -> str:
    """Return the common table expression `came`: the given rows of orders, each with `occurred_before`.

    What goes on from what was applied had not occurred before that. Where another owner of the order has gone
    further meanwhile, its rows stay, and what is past them had not occurred before them either.
    """
    return f"""came AS (
        SELECT *, (
            SELECT o.occurred_by FROM {orders_table} AS o
            WHERE o.tenant_id = c.tenant_id AND o.order_id = c.order_id
                AND first_version > 1 AND o.version >= first_version - 1
        ) AS occurred_before
        FROM {(orders + {"first_version": "integer"}).given("c")}
    )"""  # noqa: S608 - constants of ours


def first_version(change: OrderChange) -> int:
    """Return the version of a change's first event."""
    return change.events[0].after.version


def with_occurred_by(change: OrderChange) -> Iterator[tuple[AppliedEvent, datetime]]:
    """Give each event with the time by which it and all before it in the change had occurred.

    Terminals' clocks differ, so the newest event need not be the latest.
    """
    occurred_by: datetime | None = None
    for applied in change.events:
        occurred_at = applied.event.occurred_at
        occurred_by = occurred_at if occurred_by is None else max(occurred_by, occurred_at)
        yield applied, occurred_by


def occurred_by(change: OrderChange) -> datetime:
    """Return the time by which all of a change's events had occurred."""
    return max(applied.event.occurred_at for applied in change.events)
