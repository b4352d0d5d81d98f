"""Handles a batch of command records: read, look up, decide, store in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import asyncpg
import structlog
from aiokafka import TopicPartition
from cachetools import LRUCache
from prometheus_client import Counter

from command_service.elsewhere import Elsewhere
from command_service.holding import Holding, Judged, Letter
from command_service.pacing import Pace
from commands import (
    DEAD_LETTERED,
    REPEATED,
    Context,
    Decided,
    Deciding,
    NamesNoCommand,
    Record,
    Request,
    SetAside,
    count_elsewhere,
    read_request,
    read_source,
)
from commands.holds import judged, read_released
from eventstore import Loaded, OutcomeConflict, StreamKey, VersionConflict, storing_messages
from messaging import Assigned, Topics
from runtime import Database, TenantSettings, is_content_fault, is_passing_fault

log = structlog.get_logger(__name__)

SET_ASIDE = "set_aside"
COMMANDS = Counter("tillstream_commands", "Commands, by what became of them.", ["result"])
# A counter that begins with its first dead letter shows no rise to who watches it.
COMMANDS.labels(DEAD_LETTERED)
COMMANDS.labels(SET_ASIDE)
CLOCKS_AHEAD = Counter(
    "tillstream_commands_clock_ahead", "Commands whose terminal's clock was too far ahead of ours."
)
CONFLICTS = Counter("tillstream_append_conflicts", "Batches decided anew after another writer's append.")

CACHED = 20_000
ATTEMPTS = 20
# Of what is released at a time: each may have the 1 MiB that its topic takes.
RELEASED_RECORDS = 20

S = TypeVar("S")
Work = Sequence[Request | Letter]


class CommandHandler(Generic[S]):
    """The command service's work on each batch.

    The cache of states takes a batch's states only after its commit. It is emptied whenever another
    writer may have been at work: on assignment, on revocation, on a new database connection, on a conflict.
    """

    def __init__(
        self,
        database: Database,
        context: Context[S],
        topics: Topics,
        tenants: Mapping[str, TenantSettings],
        holding: Holding,
        *,
        elsewhere: Elsewhere,
        reconnected: Callable[[asyncpg.Connection], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database
        self._context, self._store = context, context.store
        self._topics = topics
        self._tenants = tenants
        self._holding = holding
        self._elsewhere = elsewhere
        self._cache: LRUCache[StreamKey, Loaded[S]] = LRUCache(CACHED)
        self._session = 0
        # Looks at a new connection's database before it is written to: it may have been restored meanwhile.
        self._reconnected = reconnected
        # What is released is judged beside the batches, over the same connection.
        self._one_at_a_time = asyncio.Lock()

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        """Go on from the committed offsets; commands are idempotent, so without one from the beginning."""
        self._cache.clear()
        self._holding.assigned(partitions)
        await self._elsewhere.assigned()
        positions = {}
        for partition, (committed, beginning, end) in partitions.items():
            if committed is not None and not beginning <= committed.offset <= end:
                log.error(
                    "commands.offset_out_of_range",
                    partition=partition.partition,
                    committed=committed.offset,
                    beginning=beginning,
                    end=end,
                )
                committed = None  # noqa: PLW2901 - as if none were there
            positions[partition] = beginning if committed is None else committed.offset
        return positions

    def acknowledged(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Nothing to keep: outcomes make commands idempotent, wherever the offsets stand."""

    async def revoked(self) -> None:
        """Forget the states: their next commands go to another service."""
        self._cache.clear()
        self._holding.revoked()

    async def handle(self, batch: Mapping[TopicPartition, Sequence[Record]]) -> Mapping[TopicPartition, int]:
        """Decide and store all commands of the batch, but for what is held back.

        Returns where partitions are held.
        """
        async with self._one_at_a_time:
            records = [record for found in batch.values() for record in found]
            requests, letters = await self._read(records)
            verdict = await self._judge(batch, letters)
            COMMANDS.labels(SET_ASIDE).inc(verdict.set_aside)
            await self._store_all([*requests, *verdict.letters], verdict.held)
            return verdict.held

    async def look(self) -> list[SetAside]:
        """Look at what is held back, and note what lay elsewhere.

        Returns the first of what is released, to be judged anew.
        """
        async with self._one_at_a_time, self._discarding():
            connection = await self._connection()
            any_set_aside = await self._holding.look(connection)
            if found := self._elsewhere.found:
                await count_elsewhere(connection, self._topics.commands, found)
                self._elsewhere.noted(found)
            if not any_set_aside:
                return []
            return await read_released(
                connection, self._topics.commands, self._holding.partitions, RELEASED_RECORDS
            )

    async def judge_anew(self, released: Sequence[SetAside], records: Sequence[Record]) -> bool:
        """Carry out what of these records names a command by now; the others become dead letters.

        Returns False where the database refused too many, so that their partition is held: they wait on.
        """
        async with self._one_at_a_time, self._discarding():
            requests, letters = await self._read(records)
            held: dict[TopicPartition, int] = {}
            await self._store_all([*requests, *self._holding.storable(letters)], held)
            if not held:
                await judged(await self._connection(), released)
            return not held

    async def _read(self, records: Iterable[Record]) -> tuple[list[Request], list[Letter]]:
        requests, letters, pace = list[Request](), list[Letter](), Pace()
        for record in records:
            await pace.step()
            try:
                request = read_request(record, self._context, self._tenants)
            except NamesNoCommand as error:
                letters.append(Letter(record, str(error), read_source(record)))
            else:
                requests.append(self._elsewhere.judge(request, self._context.domain.Rejected))
        return requests, letters

    async def _judge(
        self, batch: Mapping[TopicPartition, Sequence[Record]], letters: Sequence[Letter]
    ) -> Judged:
        if not self._holding.concerns(letters):
            return Judged([], {}, 0)
        async with self._discarding():
            return await self._holding.judge(await self._connection(), batch, letters)

    async def _connection(self) -> asyncpg.Connection:
        """Return the connection, once a new one's database is known to be the one it was."""
        connection = await self._database.connection()
        if self._session != self._database.generation:
            # The first connection was looked at before the start.
            if self._database.generation > 1 and self._reconnected is not None:
                await self._reconnected(connection)
            self._cache.clear()
            self._session = self._database.generation
        return connection

    @asynccontextmanager
    async def _discarding(self) -> AsyncIterator[None]:
        """Drop a connection that was lost."""
        try:
            yield
        except Exception as error:
            if is_passing_fault(error):
                self._database.discard()
            raise

    async def _store_all(self, work: Work, held: dict[TopicPartition, int]) -> None:
        """Store the work in one transaction, but for what lies where its partition is held, or beyond.

        When its content is refused, it is stored in halves, to find the culprit. With one too many of those
        the partition is held from there on.
        """
        work = [
            each
            for each in work
            if each.record.offset < held.get(_partition(each.record), each.record.offset + 1)
        ]
        if not work:
            return
        try:
            async with self._discarding():
                await self._store_together(work)
        except Exception as error:
            if not is_content_fault(error):
                raise
            if len(work) > 1:
                middle = len(work) // 2
                await self._store_all(work[:middle], held)
                await self._store_all(work[middle:], held)
                return
            refused = work[0]
            if not isinstance(refused, Request):
                raise
            log.exception("command.not_storable", command_id=str(refused.command_id))
            letter = Letter(refused.record, f"the database refused it: {error}", None)
            verdict = await self._judge({_partition(letter.record): [letter.record]}, [letter])
            held.update(verdict.held)
            await self._store_all(verdict.letters, held)

    async def _store_together(self, work: Work) -> None:
        for attempt in range(ATTEMPTS):
            connection = await self._connection()
            try:
                # From before the clock is read: whoever asks what may still come from before a time goes by
                # which transactions are open.
                async with storing_messages(connection):
                    decided = await self._decide(connection, work)
                    await self._store.append(connection, decided.batch)
            except (VersionConflict, OutcomeConflict) as conflict:
                CONFLICTS.inc()
                if attempt == ATTEMPTS - 1:
                    raise
                log.info("commands.decided_anew", attempt=attempt + 1, conflict=str(conflict))
                for key in decided.states:
                    self._cache.pop(key, None)
            else:
                self._cache.update(decided.states)
                self._tell(decided, work)
                return

    async def _decide(self, connection: asyncpg.Connection, work: Work) -> Decided[S]:
        requests = [item for item in work if isinstance(item, Request)]
        now, known = await self._store.find_outcomes(
            connection, [(request.tenant_id, request.command_id) for request in requests]
        )
        keys = dict.fromkeys(
            StreamKey(request.tenant_id, request.aggregate_id)
            for request in requests
            if request.aggregate_id is not None and (request.tenant_id, request.command_id) not in known
        )
        states = {key: self._cache[key] for key in keys if key in self._cache}
        if missing := [key for key in keys if key not in states]:
            states.update(await self._store.load_many(connection, missing))
        deciding = Deciding(self._context, self._topics, known=known, states=states, now=now)
        pace = Pace()
        for item in work:
            await pace.step()
            if isinstance(item, Request):
                deciding.decide(item)
            else:
                deciding.dead_letters([(item.record, item.reason)])
        return deciding.result()

    def _tell(self, decided: Decided[S], work: Work) -> None:
        """Count and log what became of the work, once it is stored."""
        aggregate_id = f"{self._store.tables.aggregate}_id"
        self._elsewhere.tell(decided.results)
        for request, result in decided.results:
            COMMANDS.labels(result).inc()
            if result not in {"accepted", REPEATED}:
                log.info(
                    "command.rejected",
                    code=result,
                    command_id=str(request.command_id),
                    command_type=request.command_type,
                    tenant_id=request.tenant_id,
                    correlation_id=request.correlation_id,
                    **{aggregate_id: request.aggregate_id and str(request.aggregate_id)},
                )
        for request, ahead in decided.clocks_ahead:
            CLOCKS_AHEAD.inc()
            log.warning(
                "command.clock_ahead",
                seconds=ahead,
                source=read_source(request.record),
                command_id=str(request.command_id),
                tenant_id=request.tenant_id,
                actor=request.actor,
            )
        for item in work:
            if not isinstance(item, Request):
                COMMANDS.labels(DEAD_LETTERED).inc()
                log.warning(
                    "command.dead_lettered",
                    partition=item.record.partition,
                    offset=item.record.offset,
                    reason=item.reason,
                )


def _partition(record: Record) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)
