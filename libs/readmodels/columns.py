"""A table and its columns, named once in its CREATE TABLE: what writes rows is made from them."""

import re
from collections.abc import Iterator, Mapping

_COLUMN = re.compile(r"^    (?P<name>[a-z_]+) (?P<type>[a-z]+(?:\[\])?)", re.MULTILINE)
# unnest would take an array of arrays apart, and JSON is given as text.
_AS_TEXT = ("[]", "jsonb")


class Columns:
    """A table's columns in their order, each with its type; as text, their names."""

    def __init__(self, table: str, types: Mapping[str, str]) -> None:
        self.table = table
        self._types = types

    @classmethod
    def of(cls, tables_sql: str, table: str) -> "Columns":
        """Find them in the statement that makes the table: a line a column, its type in one word."""
        _, _, after = tables_sql.partition(f"CREATE TABLE IF NOT EXISTS {table} (\n")
        return cls(table, dict(_COLUMN.findall(after.partition("    PRIMARY KEY")[0])))

    def __str__(self) -> str:
        return ", ".join(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __add__(self, further: Mapping[str, str]) -> "Columns":
        return Columns(self.table, {**self._types, **further})

    def given(self, alias: str, first: int = 1) -> str:
        """Return a FROM item: rows given as an array for each column, in the parameters from `first` on."""
        arrays = ", ".join(
            f"${place}::{'text' if kind.endswith(_AS_TEXT) else kind}[]"
            for place, kind in enumerate(self._types.values(), first)
        )
        return f"unnest({arrays}) AS {alias} ({self})"

    def selected(self, alias: str, **expressions: str) -> str:
        """Return what to SELECT of rows that were given: each column as it is, or its expression."""
        return ", ".join(
            expressions.get(name, f"{alias}.{name}" + (f"::{kind}" if kind.endswith(_AS_TEXT) else ""))
            for name, kind in self._types.items()
        )

    def upsert(self, source: str, **expressions: str) -> str:
        """Return the statement that writes orders' rows, for `ReadModel.write_sql`; `source` ends in AS c."""
        key = ("tenant_id", "order_id")
        updates = ", ".join(f"{name} = excluded.{name}" for name in self._types if name not in key)
        return f"""
            INSERT INTO {self.table} AS o ({self})
            SELECT {self.selected("c", **expressions)} FROM {source} ORDER BY c.tenant_id, c.order_id
            ON CONFLICT (tenant_id, order_id) DO UPDATE SET {updates}
            {{unless_newer}}
        """  # noqa: S608 - constants of ours
