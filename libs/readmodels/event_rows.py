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

    `with_sql` and `write_sql` take an array for each element of `rows`, then one for each element of
    `entries`. A row of an order or an entry begins with the columns of its table, in their order. Where a
    change does not begin with the order's first event, what they hold is only what the change tells: the rest
    stands in the order's row, and the statement finds it there.
    """

    needs_events: ClassVar = True
    entry_columns: ClassVar[int]
    """How many elements an entry has."""

    @staticmethod
    @abstractmethod
    def entries(change: OrderChange) -> Iterable[Row]:
        """Return the entries of a change's events."""

    def columns(self, changes: Sequence[OrderChange]) -> Iterable[Row]:
        """Return an array for each element of the orders' rows, then of the entries."""
        entries = list(chain.from_iterable(map(self.entries, changes)))
        columns = zip(*entries, strict=True) if entries else iter([()] * self.entry_columns)
        return chain(super().columns(changes), columns)


def entries_cte(orders: Columns, entries: Columns, **expressions: str) -> str:
    """Return a common table expression that writes entries as they are given, but for `expressions`."""
    return f"""written AS (
        INSERT INTO {entries.table} ({entries})
        SELECT {entries.selected("e", **expressions)} FROM {entries.given("e", len(orders) + 1)}
        ORDER BY tenant_id, order_id, version
        ON CONFLICT DO NOTHING
    )"""  # noqa: S608 - constants of ours


def timed_ctes(orders: Columns, entries: Columns, place: str) -> str:
    """Return two common table expressions: `came`, the orders, each with `occurred_before`; and the entries.

    Entries are written by order and by their `place` in it, so that two writers can't wait for each other.

    What goes on from what was applied had not occurred before that. Where another owner of the order has gone
    further meanwhile, its rows stay, and what is past them had not occurred before them either.
    """
    return f"""came AS (
        SELECT *, (
            SELECT o.occurred_by FROM {orders.table} AS o
            WHERE o.tenant_id = c.tenant_id AND o.order_id = c.order_id
                AND first_version > 1 AND o.version >= first_version - 1
        ) AS occurred_before
        FROM {(orders + {"first_version": "integer"}).given("c")}
    ), written AS (
        INSERT INTO {entries.table} ({entries})
        SELECT {entries.selected("e", occurred_by="greatest(e.occurred_by, c.occurred_before)")}
        FROM {entries.given("e", len(orders) + 2)}
        JOIN came AS c ON c.tenant_id = e.tenant_id AND c.order_id = e.order_id
        ORDER BY e.tenant_id, e.order_id, {place}
        ON CONFLICT DO NOTHING
    )"""  # noqa: S608 - constants of ours


def timed_upsert(orders: Columns) -> str:
    """Return the statement that writes the rows of orders in `came`."""
    return orders.upsert("came AS c", occurred_by="greatest(c.occurred_by, c.occurred_before)")


def time_of(change: OrderChange) -> tuple[datetime, int]:
    """Return what ends an order's row in `came`: when all had occurred, and the first event's version."""
    return max(applied.event.occurred_at for applied in change.events), change.events[0].after.version


def with_occurred_by(change: OrderChange) -> Iterator[tuple[AppliedEvent, datetime]]:
    """Give each event with the time by which it and all before it in the change had occurred.

    Terminals' clocks differ, so the newest event need not be the latest.
    """
    occurred_by: datetime | None = None
    for applied in change.events:
        occurred_at = applied.event.occurred_at
        occurred_by = occurred_at if occurred_by is None else max(occurred_by, occurred_at)
        yield applied, occurred_by
