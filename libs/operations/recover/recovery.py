"""Taking back what a restored database lacks: told at first, carried out when it is asked for."""

import gc
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import asyncpg

from messaging import Offsets
from operations.actions import recorded
from operations.errors import AlreadyUnderWay, Contradiction
from operations.reaching_kafka import reaching_kafka
from operations.recover.republishing import check_nobody_appends
from operations.recover.restoring import execute
from operations.recover.survey import survey
from operations.recover.work import Work
from runtime import TenantSettings

# Two recoveries at a time would each take what the other writes for a contradiction.
_LOCK = 0x7469_6C6C_7265_636F  # "tillreco"
# Objects made between two garbage collections: a page's records are many, and no cycle is among them.
_COLLECT_AFTER = 100_000


class Recovery(NamedTuple):
    """What a database lacks of the topics, or, `executed`, what it has got back.

    `handled_again_from` maps partitions of `topic`, the commands', to the first offset to be handled again.
    """

    events: int
    outcomes: int
    to_answer: int
    commands_again: int
    handled_again_from: Offsets
    contradictions: Sequence[str]
    topic: str
    executed: bool = False

    @property
    def lacks(self) -> bool:
        """Whether there is anything to take back."""
        return any((self.events, self.outcomes, self.to_answer, self.commands_again, self.contradictions))


async def recover(
    work: Work, actor: str, tenants: Mapping[str, TenantSettings], *, carry_out: bool = False
) -> Recovery:
    """Compare the topics with the database, and with `carry_out` take back what it lacks, on the record.

    `tenants` are the settings that the lost commands were decided with. Raises Contradiction,
    AlreadyUnderWay while a service or another recovery is at work, and Unreachable.
    """
    with reaching_kafka(work.kafka), _collecting_seldom():
        async with _alone(work.conn):
            if carry_out:
                await check_nobody_appends(work)
            found = await survey(work)
            recovery = Recovery(**vars(found), topic=work.topics.commands)
            if not carry_out or not recovery.lacks:
                return recovery
            async with recorded(work.conn, actor, "recover", recovery._asdict()) as action:
                if found.contradictions:
                    raise Contradiction(found.contradictions)
                again = await execute(work, found, tenants)
                action.details["handled_again_from"] = again
            return recovery._replace(handled_again_from=again, executed=True)


@asynccontextmanager
async def _alone(conn: asyncpg.Connection) -> AsyncIterator[None]:
    if not await conn.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
        raise AlreadyUnderWay("recovery_under_way", "Another `till recover` is under way.")
    try:
        yield
    finally:
        await conn.execute("SELECT pg_advisory_unlock($1)", _LOCK)


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    thresholds = gc.get_threshold()
    gc.set_threshold(_COLLECT_AFTER, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
