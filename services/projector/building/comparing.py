"""What a build changes: the rows of the new generation against those of the live one, while both move."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import asyncpg
from pydantic_core import from_json

from projector.building.build_lease import Holding
from projector.building.tables import Comparable, comparable_tables
from readmodels import ReadModel

ROWS_AT_ONCE = 1_000
# So many keys are looked at again; of what is beyond, the first look counts.
LOOKED_AT_AGAIN = 20_000
ROUNDS = 6
EXAMPLES = 3
_MOVED_ON_WITHIN = 5.0
# The store is ahead of the topic by what the relay has yet to publish.
_PUBLISHED_WITHIN = 1.0
_LOOK_INTERVAL = 0.1

_LIVE = "SELECT generation FROM projections.generations WHERE read_model = $1 AND state = 'live'"
_PARKED = "SELECT count(*) FROM projections.parked WHERE read_model = $1 AND generation = $2"
_BEHIND = """
SELECT EXISTS (
    SELECT FROM unnest($4::integer[], $5::bigint[]) AS due (partition, next_offset)
    JOIN projections.checkpoints AS c USING (partition)
    WHERE c.read_model = $1 AND c.generation = ANY ($2) AND c.topic = $3 AND c.next_offset < due.next_offset
)
"""
_FURTHEST = """
SELECT partition, max(next_offset) FROM projections.checkpoints
WHERE read_model = $1 AND generation = ANY ($2) AND topic = $3 GROUP BY partition
"""

Step: TypeAlias = Callable[[], Awaitable[object]]
Key: TypeAlias = tuple[Any, ...]


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


class Comparison:
    """Compares two generations page by page, each page in one short transaction of one snapshot.

    Both move on meanwhile: rows that differ count as different only if they are still the same after both
    generations have got past where the further one was; but rows of the same version with different
    contents do so at once.
    """

    def __init__(self, holding: Holding, generation: ReadModel, topic: str, step: Step) -> None:
        self._holding = holding
        self._name = generation.name
        self._new = generation.generation
        self._topic = topic
        self._step = step
        self._counts: Counter[str] = Counter()
        self._examples: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)

    async def run(self) -> dict[str, Any]:
        """Compare, and return the counts of rows `added`, `gone`, `changed` and `unsettled`, with `examples`.

        An example names its table and `what` happened, and has the rows `live` and `new`. `parked` counts
        the orders that could not be folded, `not_compared` names tables that only one generation has.
        """
        conn = await self._holding.connection()
        live: int = await conn.fetchval(_LIVE, self._name)
        tables, others = await comparable_tables(conn, self._name, live, self._new)
        compared = 0
        for table in tables:
            compared += await self._compare(table, [live, self._new])
        conn = await self._holding.connection()
        return {
            "rows": compared,
            **{what: self._counts[what] for what in ("added", "gone", "changed", "unsettled")},
            "parked": await conn.fetchval(_PARKED, self._name, self._new),
            "not_compared": others,
            "examples": [each for found in self._examples.values() for each in found],
        }

    async def _compare(self, table: Comparable, generations: Sequence[int]) -> int:
        doubtful: dict[Key, Pair] = {}
        after: Key | None = None
        compared = 0
        while True:
            page = await self._look_at_page(table, after)
            for key, pair in page.differing.items():
                if _is_final(table, pair) or len(doubtful) >= LOOKED_AT_AGAIN:
                    self._count(table, pair)
                else:
                    doubtful[key] = pair
            compared += page.rows
            await self._step()
            await asyncio.sleep(0)
            if page.last is None:
                break
            after = page.last
        for _ in range(ROUNDS):
            if not doubtful:
                break
            await self._move_on(generations)
            doubtful = await self._look_again(table, doubtful)
        self._counts["unsettled"] += len(doubtful)
        return compared

    def _count(self, table: Comparable, pair: Pair) -> None:
        self._counts[pair.what] += 1
        examples = self._examples[table.name, pair.what]
        if len(examples) < EXAMPLES:
            live, new = (None if row is None else from_json(row) for row in pair)
            examples.append({"table": table.name, "what": pair.what, "live": live, "new": new})

    async def _look_again(self, table: Comparable, doubtful: Mapping[Key, Pair]) -> dict[Key, Pair]:
        """Count what has stayed different, and return what is different in another way now."""
        left: dict[Key, Pair] = {}
        keys = list(doubtful)
        for start in range(0, len(keys), ROWS_AT_ONCE):
            chunk = keys[start : start + ROWS_AT_ONCE]
            for key, pair in (await self._look_at_keys(table, chunk)).items():
                if pair == doubtful[key] or _is_final(table, pair):
                    self._count(table, pair)
                else:
                    left[key] = pair
            await self._step()
        return left

    async def _move_on(self, generations: Sequence[int]) -> None:
        """Wait until both generations are where the further one is now; a stopped one is not waited for."""
        await asyncio.sleep(_PUBLISHED_WITHIN)
        conn = await self._holding.connection()
        due = await conn.fetch(_FURTHEST, self._name, generations, self._topic)
        columns = list(zip(*map(tuple, due), strict=True)) or [(), ()]
        deadline = time.monotonic() + _MOVED_ON_WITHIN
        while await conn.fetchval(_BEHIND, self._name, generations, self._topic, *columns):
            if time.monotonic() > deadline:
                return
            await self._step()
            await asyncio.sleep(_LOOK_INTERVAL)

    async def _look_at_page(self, table: Comparable, after: Key | None) -> _Page:
        """Compare the rows of the next keys of both generations."""
        conn = await self._holding.connection()
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            key = ", ".join(table.key)
            past = f"({key}) > ({table.parameters(1)})" if after else "true"
            starts = after or ()
            ends = [
                await conn.fetchrow(
                    f"SELECT {key} FROM ({table.rows(each, past)}) AS t ORDER BY {key}"  # noqa: S608 - names of the catalogue
                    f" OFFSET {ROWS_AT_ONCE - 1} LIMIT 1",
                    *starts,
                )
                for each in (table.live, table.new)
            ]
            last = await self._least(conn, table, [tuple(end) for end in ends if end is not None])
            where = past
            if last is not None:
                where += f" AND ({key}) <= ({table.parameters(1 + len(starts))})"
            differing, rows = await self._differing(conn, table, where, (*starts, *(last or ())))
        return _Page(differing, rows, last)

    async def _least(self, conn: asyncpg.Connection, table: Comparable, keys: Sequence[Key]) -> Key | None:
        """Return the least key as the database orders them."""
        if len(keys) < 2:  # noqa: PLR2004 - nothing to compare
            return keys[0] if keys else None
        first, second = table.parameters(1), table.parameters(1 + len(table.key))
        less = await conn.fetchval(f"SELECT ({first}) <= ({second})", *keys[0], *keys[1])
        return keys[0] if less else keys[1]

    async def _look_at_keys(self, table: Comparable, keys: Iterable[Key]) -> dict[Key, Pair]:
        """Compare the rows of these keys once more; return those that still differ."""
        conn = await self._holding.connection()
        arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(table.types, 1))
        where = f"({', '.join(table.key)}) IN (SELECT * FROM unnest({arrays}))"  # noqa: S608 - names of the catalogue
        differing, _ = await self._differing(conn, table, where, tuple(zip(*keys, strict=True)))
        return differing

    async def _differing(
        self, conn: asyncpg.Connection, table: Comparable, where: str, arguments: tuple[Any, ...]
    ) -> tuple[dict[Key, Pair], int]:
        """Return key → the rows that differ, in one statement, and how many rows there are."""
        keys = ", ".join(table.key)
        rows = await conn.fetch(
            f"""
            WITH live AS ({table.rows(table.live, where)}), new AS ({table.rows(table.new, where)}),
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


class _Page(NamedTuple):
    """The rows that differ, how many the new generation has, and the last key; None: no page is left."""

    differing: Mapping[Key, Pair]
    rows: int
    last: Key | None


def _is_final(table: Comparable, pair: Pair) -> bool:
    """Tell whether no further event can make these rows equal: they are of the same version."""
    if not table.versioned or pair.live is None or pair.new is None:
        return False
    return bool(from_json(pair.live)["version"] == from_json(pair.new)["version"])
