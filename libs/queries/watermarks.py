"""Watermarks: what somebody has seen of a read model's changes, so that the next look has the others."""

import re
from itertools import pairwise
from typing import NamedTuple

import asyncpg

# In the snapshot of the question that follows, or before it: never after. A standby doesn't tell which
# transactions are open, only the lowest of them; and a text has its bounds. What is then left out is seen
# with the next look.
_LOOK = """
SELECT era, CASE
    WHEN pg_is_in_recovery() OR (SELECT count(*) FROM pg_snapshot_xip(pg_current_snapshot())) > 10
    THEN format('%1$s:%1$s:', watermark) ELSE pg_current_snapshot()::text
END AS snapshot
FROM read_models.freshness WHERE read_model = $1
"""
WATERMARK_PATTERN = "^([0-9.]{0,80})-([0-9]{1,18}):([0-9]{1,18}):([0-9,]{0,190})$"
"""What a watermark looks like as text, for any dialect."""
_TEXT = re.compile(WATERMARK_PATTERN.strip("^$"))
_NOTHING = "1:1:"


class Watermark(NamedTuple):
    """All changes of an era have been seen that were made by transactions that a snapshot shows.

    `snapshot` is PostgreSQL's text of one: below which all are, from which on none is, and which between the
    two are not. Numbers of another era, that of a rebuilt read model or a restored database, say nothing.
    """

    era: str
    snapshot: str

    def __str__(self) -> str:
        return f"{self.era}-{self.snapshot}"


class Look(NamedTuple):
    """A walk over what changed, from its first page on: what `watermark` shows, and `seen` does not.

    Who comes back with `watermark` misses nothing, and gets nothing twice: what changes during the walk
    leaves it, and is of the next one.
    """

    seen: Watermark
    watermark: Watermark

    def __str__(self) -> str:
        return f"{self.seen}/{self.watermark}"

    @property
    def lowest(self) -> int:
        """The lowest transaction whose changes it may have."""
        return int(self.seen.snapshot.partition(":")[0])


def parse_watermark(text: str) -> Watermark:
    """Return what a watermark's text says. Raises ValueError for one that was not given out."""
    found = _TEXT.fullmatch(text)
    if found is not None:
        era, lowest, ends, still_open = found.groups()
        numbers = [int(lowest) - 1, *(int(number) for number in still_open.split(",") if number), int(ends)]
        # What PostgreSQL would refuse.
        if int(lowest) and all(one < other for one, other in pairwise(numbers)):
            return Watermark(era, ":".join((lowest, ends, ",".join(map(str, numbers[1:-1])))))
    raise ValueError("is no watermark that was given out here")


def parse_look(text: str) -> Look:
    """Return what a walk's text within a cursor says. Raises ValueError."""
    seen, _, watermark = text.partition("/")
    return Look(parse_watermark(seen), parse_watermark(watermark))


async def look(conn: asyncpg.Connection, read_model: str, since: Watermark | None) -> Look:
    """Begin a walk over what changed since a watermark; over everything without one, or with an old era's.

    To be asked before the rows are, or in their snapshot.
    """
    # Without a row there are no tables yet, which the question for the rows tells.
    now = Watermark(*(await conn.fetchrow(_LOOK, read_model) or ("", _NOTHING)))
    return Look(since if since is not None and since.era == now.era else Watermark(now.era, _NOTHING), now)
