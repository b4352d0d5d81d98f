"""How two generations' tables are compared: columns and keys are found out, so that versions may differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from readmodels import tables_of

# Where a row came from on the topic is none of its content.
_PLACE = frozenset({"partition", "last_offset"})
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


class _Column(NamedTuple):
    name: str
    type: str
    key_place: int


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

    def rows(self, table: str, where: str) -> str:
        """Return a query of the rows of one generation's table that are in a range of keys."""
        key = ", ".join(self.key)
        if not self.summed:
            return f"SELECT {', '.join((*self.key, *self.content))} FROM projections.{table} WHERE {where}"  # noqa: S608 - names of the catalogue
        sums = ", ".join(f"sum({column}) AS {column}" for column in self.content)
        some = " OR ".join(f"sum({column}) <> 0" for column in self.content)
        return f"SELECT {key}, {sums} FROM projections.{table} WHERE {where} GROUP BY {key} HAVING {some}"  # noqa: S608 - names of the catalogue

    def parameters(self, first: int) -> str:
        """Return the key as parameters from `$first` on."""
        return ", ".join(f"${first + place}::{kind}" for place, kind in enumerate(self.types))


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
