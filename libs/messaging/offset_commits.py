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
    """The positions that a member has reached and not committed yet.

    `commit` commits; `acknowledged` learns what was committed.
    """

    def __init__(
        self, commit: Callable[[Positions], Awaitable[None]], acknowledged: Callable[[Positions], None]
    ) -> None:
        self._commit = commit
        self._acknowledged = acknowledged
        self._due: dict[TopicPartition, int] = {}
        self._last = 0.0
        self._committing: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    def reached(self, positions: Positions) -> None:
        """Have these positions committed: at once where the last commit is an interval ago, else after it."""
        self._due.update(positions)
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._keep_committing())

    async def now(self, positions: Positions) -> None:
        """Commit these positions. Raises what aiokafka raises, and TimeoutError."""
        # aiokafka tries again without a bound while the group's coordinator is away.
        async with self._one_at_a_time, asyncio.timeout(WAIT):
            self._last = time.monotonic()
            await self._commit(positions)
        self._acknowledged(positions)

    async def flush(self) -> None:
        """Commit what is due. What can't be stays due, unless its partition was taken away."""
        due = dict(self._due)
        if not due:
            return
        try:
            await self.now(due)
        except GONE as error:
            log.info("consumer.commit_failed", error=repr(error))
        except Exception as error:  # noqa: BLE001 - nothing is lost: the database has it
            log.warning("consumer.commit_failed", error=repr(error))
            return
        for partition, offset in due.items():
            if self._due.get(partition) == offset:
                del self._due[partition]

    def forget(self) -> None:
        """Commit nothing of what is due: the partitions are another's, or are to go on from elsewhere."""
        self._due.clear()
        if self._committing is not None:
            self._committing.cancel()
            self._committing = None

    async def _keep_committing(self) -> None:
        # Positions that are reached while one commit is under way are the next one's.
        while self._due:
            await asyncio.sleep(max(0.0, self._last + INTERVAL - time.monotonic()))
            await self.flush()
