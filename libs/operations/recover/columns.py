"""Columns of short texts on their way to the database: one text each, a line a value.

An array would have asyncpg look at each of its values, which costs more than all else that is done with it.
"""

from collections.abc import Iterable, Sequence


def lines(column: Iterable[str | None]) -> str:
    """Write a column whose values have no line ends: printable text, ids, numbers, times, compact JSON."""
    return "\n".join([value or "" for value in column])


def columns_of(rows: Sequence[Sequence[str | None]]) -> tuple[str, ...]:
    """Write the columns of rows, of which there must be one at least."""
    return tuple(map(lines, zip(*rows, strict=True)))


def unnested(*numbers: int) -> str:
    """Return, in SQL, the columns that are parameters of these numbers; what is empty comes as null."""
    return ", ".join(rf"string_to_array(${number}, E'\n', '')" for number in numbers)
