"""Handles a batch of command records: read, look up, decide, store in one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

import asyncpg
import structlog
from aiokafka import TopicPartition
from cachetools import LRUCache
from prometheus_client import Counter

from command_service.dead_letter_limit import DeadLetterLimit
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
    read_request,
)
from eventstore import Loaded, OutcomeConflict, StreamKey, VersionConflict
from messaging import Assigned, Topics
from runtime import Database, TenantSettings, is_content_fault, is_passing_fault

log = structlog.get_logger(__name__)

COMMANDS = Counter("tillstream_commands", "Commands, by what became of them.", ["result"])
# A counter that begins with its first dead letter shows no rise to who watches it.
COMMANDS.labels(DEAD_LETTERED)
CONFLICTS = Counter("tillstream_append_conflicts", "Batches decided anew after another writer's append.")

CACHED = 20_000
ATTEMPTS = 20

S = TypeVar("S")
Work = Sequence[Request | tuple[Record, str]]


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
        limit: DeadLetterLimit,
        *,
        reconnected: Callable[[asyncpg.Connection], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database
        self._context, self._store = context, context.store
        self._topics = topics
        self._tenants = tenants
        self._limit = limit
        self._cache: LRUCache[StreamKey, Loaded[S]] = LRUCache(CACHED)
        self._session = 0
        # Looks at a new connection's database before it is written to: it may have been restored meanwhile.
        self._reconnected = reconnected

    async def assigned(self, partitions: Mapping[TopicPartition, Assigned]) -> Mapping[TopicPartition, int]:
        """Go on from the committed offsets; commands are idempotent, so without one from the beginning."""
        self._cache.clear()
        self._limit.forget()
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

    async def handle(self, batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Decide and store all commands of the batch.

        Raises Unrecoverable where dead letters have become the rule: with nothing stored, unless it was the
        database that refused the last of them.
        """
        work: list[Request | tuple[Record, str]] = []
        pace = Pace()
        for records in batch.values():
            for record in records:
                await pace.step()
                try:
                    work.append(read_request(record, self._context, self._tenants))
                except NamesNoCommand as error:
                    work.append((record, str(error)))
        await self._limit.check([item for item in work if not isinstance(item, Request)])
        await self._store_all(work)

    async def _store_all(self, work: Work) -> None:
        """Store the work in one transaction; when its content is refused, in halves, to find the culprit."""
        try:
            await self._store_together(work)
        except Exception as error:
            if is_passing_fault(error):
                self._database.discard()
                raise
            if not is_content_fault(error):
                raise
            if len(work) > 1:
                middle = len(work) // 2
                await self._store_all(work[:middle])
                await self._store_all(work[middle:])
                return
            if not isinstance(work[0], Request):
                raise
            log.exception("command.not_storable", command_id=str(work[0].command_id))
            letter = (work[0].record, f"the database refused it: {error}")
            await self._limit.check([letter])
            await self._store_all([letter])

    async def _store_together(self, work: Work) -> None:
        for attempt in range(ATTEMPTS):
            connection = await self._database.connection()
            if self._session != self._database.generation:
                # The first connection was looked at before the start.
                if self._database.generation > 1 and self._reconnected is not None:
                    await self._reconnected(connection)
                self._cache.clear()
                self._session = self._database.generation
            decided = await self._decide(connection, work)
            try:
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
                deciding.dead_letters([item])
        return deciding.result()

    def _tell(self, decided: Decided[S], work: Work) -> None:
        """Count and log what became of the work, once it is stored."""
        aggregate_id = f"{self._store.tables.aggregate}_id"
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
        for item in work:
            if not isinstance(item, Request):
                record, reason = item
                COMMANDS.labels(DEAD_LETTERED).inc()
                log.warning(
                    "command.dead_lettered", partition=record.partition, offset=record.offset, reason=reason
                )
