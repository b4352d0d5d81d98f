"""Compares tables of two generations, whose columns and keys are found out: versions may differ."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from readmodels import tables_of

# Where a row came from on the topic, and which transaction wrote it, is none of its content.
_PLACE = frozenset({"partition", "last_offset", "changed"})
_NUMBERS = ("smallint", "integer", "bigint", "numeric")

_COLUMNS = """
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, coalesce(k.place, 0) AS key_place
FROM pg_attribute AS a
LEFT JOIN (
    SELECT indrelid, attnum, place FROM pg_index, unnest(indkey) WITH ORDINALITY AS u (attnum, place)
    WHERE indisprimary
) AS k ON k.indrelid = a.attrelid AND k.attnum = a.attnum
WHERE a.attrelid = to_regclass('projections.' || quote_ident($1)) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

Key: TypeAlias = tuple[Any, ...]


class _Column(NamedTuple):
    name: str
    type: str
    key_place: int


class Pair(NamedTuple):
    """A row of the live generation and that of the new one, as JSON texts; None: there is none."""

    live: str | None
    new: str | None

    @property
    def what(self) -> str:
        """What becomes of the row at the swap."""
        if self.live is None:
            return "added"
        return "gone" if self.new is None else "changed"


class ComparedPage(NamedTuple):
    """The rows that differ, how many the new generation has, and the last key; None: no page is left."""

    differing: Mapping[Key, Pair]
    rows: int
    last: Key | None


class Comparable(NamedTuple):
    """A table of two generations: its key, with types, and the other columns that both have.

    Where the key holds the partition, rows are sums of a partition's orders, and are summed over the
    partitions. Rows that are `versioned` say how far they are: of one version, they have one content.
    """

    name: str
    live: str
    new: str
    key: tuple[str, ...]
    types: tuple[str, ...]
    content: tuple[str, ...]
    summed: bool

    @property
    def versioned(self) -> bool:
        """Whether a row tells its order's version."""
        return "version" in (*self.key, *self.content)

    def _rows(self, table: str, where: str) -> str:
        """Return a query of the rows of one generation's table that are in a range of keys."""
        key = ", ".join(self.key)
        if not self.summed:
            return f"SELECT {', '.join((*self.key, *self.content))} FROM projections.{table} WHERE {where}"  # noqa: S608 - names of the catalogue
        sums = ", ".join(f"sum({column}) AS {column}" for column in self.content)
        some = " OR ".join(f"sum({column}) <> 0" for column in self.content)
        return f"SELECT {key}, {sums} FROM projections.{table} WHERE {where} GROUP BY {key} HAVING {some}"  # noqa: S608 - names of the catalogue

    def _parameters(self, first: int) -> str:
        """Return the key as parameters from `$first` on."""
        return ", ".join(f"${first + place}::{kind}" for place, kind in enumerate(self.types))

    async def page(self, conn: asyncpg.Connection, after: Key | None, limit: int) -> ComparedPage:
        """Compare the rows of the next keys of both generations, in one transaction of one snapshot."""
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            key = ", ".join(self.key)
            past = f"({key}) > ({self._parameters(1)})" if after else "true"
            starts = after or ()
            ends = [
                await conn.fetchrow(
                    f"SELECT {key} FROM ({self._rows(each, past)}) AS t ORDER BY {key}"  # noqa: S608 - names of the catalogue
                    f" OFFSET {limit - 1} LIMIT 1",
                    *starts,
                )
                for each in (self.live, self.new)
            ]
            last = await self._least(conn, [tuple(end) for end in ends if end is not None])
            where = past
            if last is not None:
                where += f" AND ({key}) <= ({self._parameters(1 + len(starts))})"
            differing, rows = await self._differing(conn, where, (*starts, *(last or ())))
        return ComparedPage(differing, rows, last)

    async def _least(self, conn: asyncpg.Connection, keys: Sequence[Key]) -> Key | None:
        """Return the least key as the database orders them."""
        if len(keys) < 2:  # noqa: PLR2004 - nothing to compare
            return keys[0] if keys else None
        first, second = self._parameters(1), self._parameters(1 + len(self.key))
        less = await conn.fetchval(f"SELECT ({first}) <= ({second})", *keys[0], *keys[1])
        return keys[0] if less else keys[1]

    async def differing(self, conn: asyncpg.Connection, keys: Iterable[Key]) -> dict[Key, Pair]:
        """Compare the rows of these keys; return those that differ."""
        arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(self.types, 1))
        where = f"({', '.join(self.key)}) IN (SELECT * FROM unnest({arrays}))"  # noqa: S608 - names of the catalogue
        differing, _ = await self._differing(conn, where, tuple(zip(*keys, strict=True)))
        return differing

    async def _differing(
        self, conn: asyncpg.Connection, where: str, arguments: tuple[Any, ...]
    ) -> tuple[dict[Key, Pair], int]:
        """Return key → the rows that differ, in one statement, and how many rows there are."""
        keys = ", ".join(self.key)
        rows = await conn.fetch(
            f"""
            WITH live AS ({self._rows(self.live, where)}), new AS ({self._rows(self.new, where)}),
            pairs AS (
                SELECT {keys}, to_jsonb(live) AS live_row, to_jsonb(new) AS new_row
                FROM live FULL JOIN new USING ({keys})
            )
            SELECT (SELECT count(*) FROM new) AS rows, pairs.*
            FROM (SELECT) AS one LEFT JOIN pairs ON live_row IS DISTINCT FROM new_row
            """,  # noqa: S608 - names of the catalogue
            *arguments,
        )
        count: int = rows[0]["rows"]
        found = [tuple(row)[1:] for row in rows]
        return {each[:-2]: Pair(each[-2], each[-1]) for each in found if each[-2:] != (None, None)}, count


async def comparable_tables(
    conn: asyncpg.Connection, read_model: str, live: int, new: int
) -> tuple[list[Comparable], list[str]]:
    """Return the tables that both generations have with the same key, and the names of the others."""
    theirs, ours = await tables_of(conn, read_model, live), await tables_of(conn, read_model, new)
    found, others = [], []
    for suffix in sorted(theirs.keys() | ours.keys()):
        name = f"{read_model}{suffix}"
        table = None
        if suffix in theirs and suffix in ours:
            columns = [await _columns(conn, each) for each in (theirs[suffix], ours[suffix])]
            table = _comparable(name, theirs[suffix], ours[suffix], *columns)
        if table is None:
            others.append(name)
        else:
            found.append(table)
    return found, others


async def _columns(conn: asyncpg.Connection, table: str) -> list[_Column]:
    return [_Column(*tuple(row)) for row in await conn.fetch(_COLUMNS, table)]


def _comparable(
    name: str, live: str, new: str, theirs: Sequence[_Column], ours: Sequence[_Column]
) -> Comparable | None:
    keys = [
        [
            (each.name, each.type)
            for each in sorted(columns, key=lambda each: each.key_place)
            if each.key_place
        ]
        for columns in (theirs, ours)
    ]
    if keys[0] != keys[1] or not keys[0]:
        return None
    key = [(column, kind) for column, kind in keys[0] if column not in _PLACE]
    common = {each.name for each in theirs} & {each.name for each in ours}
    summed = len(key) < len(keys[0])
    content = [
        each.name
        for each in ours
        if each.name in common - _PLACE
        and not each.key_place
        and (not summed or each.type.startswith(_NUMBERS))
    ]
    return Comparable(
        name,
        live,
        new,
        tuple(column for column, _ in key),
        tuple(kind for _, kind in key),
        tuple(content),
        summed,
    )
