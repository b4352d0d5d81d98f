"""Commits to Kafka how far a member of a group has got: the first batch at once, then at intervals.

The offsets follow the database, which is the truth: what was handled and not committed is handled again
after a crash, and changes nothing. So a commit a batch buys nothing, and costs as much as a small batch does.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

log = structlog.get_logger(__name__)

INTERVAL = 1.0
WAIT = 10.0
GONE = (CommitFailedError, IllegalStateError)
"""A commit for a partition that has been taken away meanwhile: the next owner goes on from the database."""

Positions = Mapping[TopicPartition, int]


class OffsetCommits:
    """The positions that a member has reached, and those of them that are not committed yet.

    `commit` commits; `acknowledged` learns what was committed.
    """

    def __init__(
        self, commit: Callable[[Positions], Awaitable[None]], acknowledged: Callable[[Positions], None]
    ) -> None:
        self._commit = commit
        self._acknowledged = acknowledged
        self._due: dict[TopicPartition, int] = {}
        self._last = 0.0
        self._later: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def reached(self, positions: Positions) -> None:
        """Commit these positions now, where the last commit is an interval ago, else within one."""
        self._due.update(positions)
        if self._later is not None and not self._later.done():
            return
        wait = self._last + INTERVAL - time.monotonic()
        if wait <= 0:
            await self.flush()
        else:
            self._later = asyncio.create_task(self._flush_after(wait))

    async def now(self, positions: Positions) -> None:
        """Commit these positions. Raises what aiokafka raises, and TimeoutError."""
        # aiokafka tries again without a bound while the group's coordinator is away.
        async with self._one_at_a_time, asyncio.timeout(WAIT):
            self._last = time.monotonic()
            await self._commit(positions)
        self._acknowledged(positions)

    async def flush(self) -> None:
        """Commit what is due. What can't be is lost without harm: the database has it."""
        due = dict(self._due)
        if not due:
            return
        try:
            await self.now(due)
        except (*GONE, TimeoutError) as error:
            log.info("consumer.commit_failed", error=repr(error))
        for partition, offset in due.items():
            if self._due.get(partition) == offset:
                del self._due[partition]

    def forget(self) -> None:
        """Commit nothing of what is due: the partitions are another's, or are to go on from elsewhere."""
        self._due.clear()
        if self._later is not None:
            self._later.cancel()

    async def _flush_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.flush()
