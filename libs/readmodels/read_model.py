"""What every read model is: tables that are a function of the folded orders."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import ClassVar, NamedTuple
from uuid import UUID

import asyncpg

from orders import Event, Order
from readmodels.generation_tables import are_published, keep_tenants_apart, make_missing, open_to_readers

OrderKey = tuple[str, UUID]
"""An order's tenant and id."""

UNKNOWN_OFFSET = 2**63 - 1
"""The last offset of an order that was not read from the topic: past every rewind, so each folds it again."""


_UNLESS_NEWER = "WHERE o.version < excluded.version"


class Placed(NamedTuple):
    """What a read model keeps of an order beside its content: how far it is, and where it was read."""

    version: int
    partition: int
    last_offset: int


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
    """An order as it is now, and of its newest event where on the topic it lies and when it was recorded.

    `events` are those since the order's last applied version, without a gap, oldest first. They are given to
    a read model that `needs_events`; for the others there are none.
    """

    order: Order
    partition: int
    last_offset: int
    recorded_at: datetime
    events: Sequence[AppliedEvent] = ()


class ReadModel(ABC):
    """One generation of a read model; a subclass says its tables, its view and what is written, in SQL.

    The texts name a generation's tables by `{generation}`. One table, `orders_table`, keeps per order
    tenant_id, order_id, version, partition and last_offset. All methods run inside the caller's transaction,
    and the caller is the only writer of the partitions it speaks of.

    Every table is named `projections.<name>_{generation}`, or so with `_` and more behind, and has a
    `tenant_id text NOT NULL`: by that the tenants are kept apart (row-level security, forced), and a table
    without it is refused. Readers get the views' columns, and nothing of a table that no view shows. Views
    name columns: what readers may read beneath a `SELECT *` can't be told.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    """One more with each change of the tables or of what is written to them."""
    needs_events: ClassVar[bool] = False
    """Each event with the order before and after it, not just the order as it is now."""
    orders_table: ClassVar[str]
    further_tables: ClassVar[Sequence[str]] = ()
    """Other tables with rows of one order each, by tenant_id and order_id: deleted with the order."""
    tables_sql: ClassVar[str]
    """`CREATE TABLE` and `CREATE INDEX`, each `IF NOT EXISTS`; those run whose table or index is missing."""
    view_sql: ClassVar[str]
    """`CREATE OR REPLACE VIEW read_models.<name>`, and one for each of `further_views`, after another."""
    further_views: ClassVar[Sequence[str]] = ()
    """Names of other views in the schema `read_models`."""
    with_sql: ClassVar[str] = ""
    """Common table expressions of `write_sql`, those that write included; with commas between them."""
    write_sql: ClassVar[str]
    """One INSERT; with what it builds on, it takes an array for each element of `rows`.

    `{unless_newer}` follows the `ON CONFLICT … DO UPDATE` on the `orders_table AS o`: there stands, but for a
    `rewrite`, what leaves a row that is as new as its change. `{if_moved}` follows the unnesting of what is
    given, for `write_ctes`.
    """
    settle_sql: ClassVar[Sequence[str]] = ()
    """Statements on one partition ($1) that make what is summed over its orders agree with them."""
    check_sql: ClassVar[str | None] = None
    """Returns sums that are not those of their orders, each amount as `found_…` and `due_…`."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self._write = self._statement(unless_newer=_UNLESS_NEWER)
        self._rewrite = self._statement(unless_newer="")
        self.write_ctes = self._ctes()
        """What `write` does, as common table expressions; where another one, `moved`, is empty, nothing."""
        of_orders = (self.orders_table, *self.further_tables)
        self.tables = [each.format(generation=generation) for each in of_orders]
        table = self.tables[0]
        self._versions = f"""
            SELECT tenant_id, order_id, o.version, o.partition, o.last_offset
            FROM unnest($1::text[], $2::uuid[]) AS k (tenant_id, order_id)
            CROSS JOIN LATERAL (
                SELECT version, partition, last_offset FROM {table}
                WHERE tenant_id = k.tenant_id AND order_id = k.order_id
                LIMIT 1
            ) AS o
        """  # noqa: S608 - the table's name is ours
        # Pages go by key, not by offset: an index on an offset that moves with every event would make each
        # update of a row an update of all its indexes.
        self._page = f"""
            SELECT tenant_id, order_id, version, partition, last_offset FROM {table}
            WHERE partition = $1 AND (tenant_id, order_id) > ($2, $3) AND last_offset >= $4
            ORDER BY tenant_id, order_id LIMIT $5
            FOR UPDATE
        """  # noqa: S608 - the table's name is ours
        self._past = f"""
            SELECT o.partition, count(*) AS orders
            FROM {table} AS o
            JOIN unnest($1::integer[], $2::bigint[]) AS r (partition, first) USING (partition)
            WHERE o.last_offset >= r.first GROUP BY o.partition
        """  # noqa: S608 - the table's name is ours
        self._deletes = [
            f"""
                DELETE FROM {each} AS o USING unnest($1::text[], $2::uuid[]) AS k (tenant_id, order_id)
                WHERE o.tenant_id = k.tenant_id AND o.order_id = k.order_id
            """  # noqa: S608 - the table's name is ours
            for each in (*self.tables[1:], table)
        ]

    @staticmethod
    @abstractmethod
    def rows(change: OrderChange) -> Iterable[tuple[object, ...]]:
        """Return what is written for one order."""

    def _statement(self, *, unless_newer: str) -> str:
        ctes = f"WITH {self.with_sql}" if self.with_sql else ""
        text = f"{ctes} {self.write_sql}"
        return text.format(generation=self.generation, unless_newer=unless_newer, if_moved="")

    def _ctes(self) -> str:
        ctes = f"{self.with_sql}," if self.with_sql else ""
        text = f"{ctes} written_last AS ({self.write_sql})"
        if_moved = "WHERE EXISTS (SELECT FROM moved)"
        return text.format(generation=self.generation, unless_newer=_UNLESS_NEWER, if_moved=if_moved)

    @property
    def views(self) -> Sequence[str]:
        """The names of its views in the schema `read_models`."""
        return (self.name, *self.further_views)

    async def create_tables(self, conn: asyncpg.Connection) -> None:
        """Make this generation's tables where they are missing, and keep the tenants in them apart."""
        await make_missing(conn, self.tables_sql.format(generation=self.generation))
        await keep_tenants_apart(conn, self.name, self.generation)

    async def publish(self, conn: asyncpg.Connection) -> None:
        """Let the views read this generation, and readers the views."""
        # An earlier build may have made these tables.
        await keep_tenants_apart(conn, self.name, self.generation)
        await conn.execute(self.view_sql.format(generation=self.generation))
        await open_to_readers(conn, self.views)

    async def is_published(self, conn: asyncpg.Connection) -> bool:
        """Tell whether the views are there as this build makes them, whatever generation they read."""
        return await are_published(conn, self.views)

    async def has_orders_table(self, conn: asyncpg.Connection) -> bool:
        """Tell whether there is a table of orders of this name."""
        return await conn.fetchval("SELECT to_regclass($1) IS NOT NULL", self.tables[0]) is True

    async def count_orders(self, conn: asyncpg.Connection) -> int:
        """Return how many orders there are."""
        return int(await conn.fetchval(f"SELECT count(*) FROM {self.tables[0]}"))  # noqa: S608 - the table's name is ours

    async def count_past(self, conn: asyncpg.Connection, offsets: Mapping[int, int]) -> dict[int, int]:
        """Return how many orders have an event at or past an offset; both by partition, none is absent."""
        rows = await conn.fetch(self._past, list(offsets), list(offsets.values()))
        return {row["partition"]: row["orders"] for row in rows}

    async def applied_versions(
        self, conn: asyncpg.Connection, keys: Collection[OrderKey]
    ) -> dict[OrderKey, int]:
        """Return each order's last applied version; an order without a row is absent."""
        return {key: placed.version for key, placed in (await self.placed(conn, keys)).items()}

    async def placed(self, conn: asyncpg.Connection, keys: Collection[OrderKey]) -> dict[OrderKey, Placed]:
        """Return what is kept of each order; an order without a row is absent."""
        rows = await conn.fetch(self._versions, *zip(*keys, strict=True))
        return {(row[0], row[1]): Placed(row[2], row[3], row[4]) for row in rows}

    async def write(self, conn: asyncpg.Connection, changes: Sequence[OrderChange]) -> None:
        """Write the changed orders, each there once; leave rows that are as new as their change."""
        await conn.execute(self._write, *self.columns(changes))

    async def rewrite(self, conn: asyncpg.Connection, changes: Sequence[OrderChange]) -> None:
        """Write orders anew, each of which is there once, whatever their rows hold.

        A read model that `needs_events` is given all of an order's, from the first on. Sums move by the new
        contribution minus the old one, as in `write`.
        """
        columns = list(self.columns(changes))
        keys = [(change.order.tenant_id, change.order.order_id) for change in changes]
        for delete in self._deletes[:-1]:
            await conn.execute(delete, *zip(*keys, strict=True))
        await conn.execute(self._rewrite, *columns)

    def columns(self, changes: Sequence[OrderChange]) -> Iterable[tuple[object, ...]]:
        """Return what `write` and `write_ctes` take: an array for each parameter."""
        return zip(*chain.from_iterable(map(self.rows, changes)), strict=True)

    async def page(
        self, conn: asyncpg.Connection, partition: int, from_offset: int, *, after: OrderKey, limit: int
    ) -> dict[OrderKey, Placed]:
        """Return, and lock, the next orders after a key with an event at or past an offset, in key order."""
        rows = await conn.fetch(self._page, partition, *after, from_offset, limit)
        return {(row[0], row[1]): Placed(row[2], row[3], row[4]) for row in rows}

    async def delete(self, conn: asyncpg.Connection, keys: Collection[OrderKey]) -> None:
        """Delete orders' rows; what is summed over orders agrees again once it is settled."""
        for delete in self._deletes:
            await conn.execute(delete, *zip(*keys, strict=True))

    async def settle(self, conn: asyncpg.Connection, partition: int) -> None:
        """Make what is summed over the partition's orders agree with them."""
        for statement in self.settle_sql:
            await conn.execute(statement.format(generation=self.generation), partition)
