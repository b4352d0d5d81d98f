"""A table and its columns, named once in its CREATE TABLE: what writes rows is made from them.

A table that has the column `changed` keeps in it which transaction made a row what it says. Readers who come
again and again go by it: transactions commit in another order than they began in, and these are the one
number of which PostgreSQL itself knows what is still to come (`pg_snapshot_xmin`).
"""

import re
from collections.abc import Iterator, Mapping

# One with a default is nobody's to give.
_COLUMN = re.compile(r"^    (?P<name>[a-z_]+) (?P<type>[a-z]+(?:\[\])?)(?!.* DEFAULT )", re.MULTILINE)
_CHANGED = "\n    changed bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,\n"
# None of what a row says of its order.
_UNSAID = ("tenant_id", "order_id", "partition", "last_offset")
# A number whose column doesn't say its digits is DOUBLE to DuckDB. No currency of ISO 4217 has more than four
# decimals, before the point there is room for any sum, and 38 digits is what Arrow and DuckDB hold exactly.
AMOUNT = "numeric(38,4)"
_DIGITS = {"quantity": "numeric(9,3)"}
# unnest would take an array of arrays apart, and JSON is given as text.
_AS_TEXT = ("[]", "jsonb")


class Columns:
    """A table's columns in their order, each with its type; as text, their names."""

    def __init__(self, table: str, types: Mapping[str, str], *, tells_changes: bool = False) -> None:
        self.table = table
        self._types = types
        self._tells_changes = tells_changes

    @classmethod
    def of(cls, tables_sql: str, table: str) -> "Columns":
        """Find them in the statement that makes the table: a line a column, its type in one word."""
        _, _, after = tables_sql.partition(f"CREATE TABLE IF NOT EXISTS {table} (\n")
        lines = after.partition("    PRIMARY KEY")[0]
        return cls(table, dict(_COLUMN.findall(lines)), tells_changes=_CHANGED in lines)

    def __str__(self) -> str:
        return ", ".join(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __add__(self, further: Mapping[str, str]) -> "Columns":
        return Columns(self.table, {**self._types, **further}, tells_changes=self._tells_changes)

    def given(self, alias: str, first: int = 1) -> str:
        """Return a FROM item: rows given as an array for each column, in the parameters from `first` on.

        `{if_moved}` stands where they can be held back.
        """
        arrays = ", ".join(
            f"${place}::{'text' if kind.endswith(_AS_TEXT) else kind}[]"
            for place, kind in enumerate(self._types.values(), first)
        )
        return f"(SELECT * FROM unnest({arrays}) {{if_moved}}) AS {alias} ({self})"  # noqa: S608 - constants of ours

    def selected(self, alias: str, **expressions: str) -> str:
        """Return what to SELECT of rows that were given: each column as it is, or its expression."""
        return ", ".join(
            expressions.get(name, f"{alias}.{name}" + (f"::{kind}" if kind.endswith(_AS_TEXT) else ""))
            for name, kind in self._types.items()
        )

    def shown(self) -> str:
        """Return what a view SELECTs: each column, numbers with the digits that every tool reads exactly."""
        return ", ".join(
            f"{name}::{_DIGITS.get(name, AMOUNT)} AS {name}" if kind == "numeric" else name
            for name, kind in self._types.items()
        )

    def upsert(self, source: str, **expressions: str) -> str:
        """Return the statement that writes orders' rows, for `ReadModel.write_sql`; `source` ends in AS c."""
        key = ("tenant_id", "order_id")
        updates = [f"{name} = excluded.{name}" for name in self._types if name not in key]
        if self._tells_changes:
            # A replay writes most rows as they are: those have not changed.
            was, now = (
                ", ".join(f"{row}.{name}" for name in self._types if name not in _UNSAID)
                for row in ("o", "excluded")
            )
            updates.append(
                f"changed = CASE WHEN ({was}) IS DISTINCT FROM ({now}) THEN excluded.changed"
                " ELSE o.changed END"
            )
        return f"""
            INSERT INTO {self.table} AS o ({self})
            SELECT {self.selected("c", **expressions)} FROM {source} ORDER BY c.tenant_id, c.order_id
            ON CONFLICT (tenant_id, order_id) DO UPDATE SET {", ".join(updates)}
            {{unless_newer}}
        """  # noqa: S608 - constants of ours
