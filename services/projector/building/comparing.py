"""What a build changes: the rows of the new generation against those of the live one, while both move."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from projector.building.build_lease import BuildLease
from projector.building.record import Step
from readmodels import ReadModel
from readmodels.checkpoints import Checkpoints
from readmodels.comparable import Comparable, Key, Pair, comparable_tables
from readmodels.generations import live_generations
from readmodels.parked import ParkedOrders

ROWS_AT_ONCE = 1_000
# So many keys are looked at again; of what is beyond, the first look counts.
LOOKED_AT_AGAIN = 20_000
ROUNDS = 6
EXAMPLES = 3
_MOVED_ON_WITHIN = 5.0
# The store is ahead of the topic by what the relay has yet to publish.
_PUBLISHED_WITHIN = 1.0
_LOOK_INTERVAL = 0.1


class Comparison:
    """Compares two generations page by page, each page in one short transaction of one snapshot.

    Both move on meanwhile: rows that differ count as different only if they are still the same after both
    generations have got past where the further one was; but rows of the same version with different
    contents do so at once.
    """

    def __init__(self, lease: BuildLease, generation: ReadModel, topic: str, step: Step) -> None:
        self._lease = lease
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
        conn = await self._lease.connection()
        live = (await live_generations(conn))[self._name].generation
        tables, others = await comparable_tables(conn, self._name, live, self._new)
        compared = 0
        for table in tables:
            compared += await self._compare(table, [live, self._new])
        conn = await self._lease.connection()
        return {
            "rows": compared,
            **{what: self._counts[what] for what in ("added", "gone", "changed", "unsettled")},
            "parked": await ParkedOrders(self._name, self._new).count(conn),
            "not_compared": others,
            "examples": [each for found in self._examples.values() for each in found],
        }

    async def _compare(self, table: Comparable, generations: Sequence[int]) -> int:
        doubtful: dict[Key, Pair] = {}
        after: Key | None = None
        compared = 0
        while True:
            page = await table.page(await self._lease.connection(), after, ROWS_AT_ONCE)
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
            found = await table.differing(await self._lease.connection(), chunk)
            for key, pair in found.items():
                if pair == doubtful[key] or _is_final(table, pair):
                    self._count(table, pair)
                else:
                    left[key] = pair
            await self._step()
        return left

    async def _move_on(self, generations: Sequence[int]) -> None:
        """Wait until both generations are where the further one is now; a stopped one is not waited for."""
        await asyncio.sleep(_PUBLISHED_WITHIN)
        due: Counter[int] = Counter()
        for places in await self._places(generations):
            due |= Counter(places)
        deadline = time.monotonic() + _MOVED_ON_WITHIN
        while any(
            offset < due[number]
            for places in await self._places(generations)
            for number, offset in places.items()
        ):
            if time.monotonic() > deadline:
                return
            await self._step()
            await asyncio.sleep(_LOOK_INTERVAL)

    async def _places(self, generations: Sequence[int]) -> list[dict[int, int]]:
        """Return partition → next offset of each generation."""
        conn = await self._lease.connection()
        found = [await Checkpoints(self._name, each, self._topic).read(conn) for each in generations]
        return [{number: each.next_offset for number, each in of_one.items()} for of_one in found]


def _is_final(table: Comparable, pair: Pair) -> bool:
    """Tell whether no further event can make these rows equal: they are of the same version."""
    if not table.versioned or pair.live is None or pair.new is None:
        return False
    return bool(from_json(pair.live)["version"] == from_json(pair.new)["version"])
