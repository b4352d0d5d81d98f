"""What every read model is: tables that are a function of the folded orders."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import ClassVar, NamedTuple
from uuid import UUID

import asyncpg

from orders import Event, Order

OrderKey = tuple[str, UUID]
"""An order's tenant and id."""


class Provenance(NamedTuple):
    """Who did what an event tells, when that was recorded, and the command that caused it."""

    actor: str
    recorded_at: datetime
    command_id: UUID
    correlation_id: str


class AppliedEvent(NamedTuple):
    """One event of a change, and the order before and after it."""

    event: Event
    provenance: Provenance
    before: Order
    after: Order


class OrderChange(NamedTuple):
    """An order as it is now, and where on the topic its newest event lies.

    `events` are those since the order's last applied version, without a gap, oldest first. They are given to
    a read model that `needs_events`; for the others there are none.
    """

    order: Order
    partition: int
    last_offset: int
    events: Sequence[AppliedEvent] = ()


class ReadModel(ABC):
    """One generation of a read model; a subclass says its tables, its view and what is written, in SQL.

    The texts name a generation's tables by `{generation}`. One table, `orders_table`, keeps per order
    tenant_id, order_id, version, partition and last_offset. All methods run inside the caller's transaction,
    and the caller is the only writer of the partitions it speaks of.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    """One more with each change of the tables or of what is written to them."""
    needs_events: ClassVar[bool] = False
    """Each event with the order before and after it, not just the order as it is now."""
    orders_table: ClassVar[str]
    further_tables: ClassVar[Sequence[str]] = ()
    """Other tables with rows of one order each, by tenant_id and order_id: dropped with the order."""
    tables_sql: ClassVar[str]
    """Makes what is missing; may run again."""
    view_sql: ClassVar[str]
    write_sql: ClassVar[str]
    """One statement; takes an array for each element of `rows`; leaves a row that is as new as its change."""
    settle_sql: ClassVar[Sequence[str]] = ()
    """Statements on one partition ($1) that make what is summed over its orders agree with them."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self._write = self.write_sql.format(generation=generation)
        table = self.orders_table.format(generation=generation)
        self._versions = f"""
            SELECT tenant_id, order_id, o.version
            FROM unnest($1::text[], $2::uuid[]) AS k (tenant_id, order_id)
            JOIN {table} AS o USING (tenant_id, order_id)
        """  # noqa: S608 - the table's name is ours
        drops = [
            f"""dropped_{number} AS (
                DELETE FROM {each.format(generation=generation)} AS o USING page
                WHERE o.tenant_id = page.tenant_id AND o.order_id = page.order_id AND page.last_offset >= $5
            )"""  # noqa: S608 - the table's name is ours
            for number, each in enumerate((self.orders_table, *self.further_tables))
        ]
        # Pages go by key, not by offset: an index on an offset that moves with every event would make each
        # update of a row an update of all its indexes.
        self._drop = f"""
            WITH page AS MATERIALIZED (
                SELECT tenant_id, order_id, last_offset FROM {table}
                WHERE partition = $1 AND (tenant_id, order_id) > ($2, $3)
                ORDER BY tenant_id, order_id LIMIT $4
            ), {", ".join(drops)}
            SELECT tenant_id, order_id FROM page ORDER BY tenant_id DESC, order_id DESC LIMIT 1
        """  # noqa: S608 - the table's name is ours

    @staticmethod
    @abstractmethod
    def rows(change: OrderChange) -> Iterable[tuple[object, ...]]:
        """Return what is written for one order."""

    async def create_tables(self, conn: asyncpg.Connection) -> None:
        """Make this generation's tables where they are missing."""
        await conn.execute(self.tables_sql.format(generation=self.generation))

    async def publish(self, conn: asyncpg.Connection) -> None:
        """Let the view `read_models.<name>` read this generation."""
        await conn.execute(self.view_sql.format(generation=self.generation))

    async def applied_versions(
        self, conn: asyncpg.Connection, keys: Collection[OrderKey]
    ) -> dict[OrderKey, int]:
        """Return each order's last applied version; an order without a row is absent."""
        rows = await conn.fetch(self._versions, *zip(*keys, strict=True))
        return {(row[0], row[1]): row[2] for row in rows}

    async def write(self, conn: asyncpg.Connection, changes: Sequence[OrderChange]) -> None:
        """Write the changed orders, each of which is there once."""
        await conn.execute(self._write, *zip(*chain.from_iterable(map(self.rows, changes)), strict=True))

    async def drop_orders(
        self, conn: asyncpg.Connection, partition: int, from_offset: int, *, after: OrderKey, limit: int
    ) -> OrderKey | None:
        """Drop, of the partition's next `limit` orders after a key, those with an event at or past an offset.

        Returns the last key looked at, for the next call; None when no order was left to look at.
        """
        row = await conn.fetchrow(self._drop, partition, *after, limit, from_offset)
        return None if row is None else (row[0], row[1])

    async def settle(self, conn: asyncpg.Connection, partition: int) -> None:
        """Make what is summed over the partition's orders agree with them, after some were dropped."""
        for statement in self.settle_sql:
            await conn.execute(statement.format(generation=self.generation), partition)
