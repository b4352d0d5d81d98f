"""A consumer for handlers that keep their results in a database: the offsets follow the transaction.

The shape answers traps seen in FastStream 0.7 and aiokafka 0.14: a failed batch is tried again in place (a
handler's exception would only be logged and passed over), offsets are committed explicitly from the records
handled, an assignment is taken up in a task with the partitions paused (no heartbeats go out while the
callback runs), and a process that gives up ends non-zero.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Literal

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError
from aiokafka.structs import OffsetAndMetadata
from prometheus_client import Counter, Histogram

from messaging.aiokafka_fixes.header_names import accept_any_header_name
from messaging.aiokafka_fixes.member_commits import commit_as_members_only
from messaging.aiokafka_fixes.prefetching import fetch_only_when_empty
from messaging.batch_handler import Assigned, BatchHandler, Fenced
from messaging.connection import KafkaConnection
from messaging.fetching import Fetched, GetMany, fetch_batch
from messaging.groups import MARKER, committed_offsets
from messaging.offset_commits import GONE, OffsetCommits
from messaging.progress import Progress
from messaging.refusals import telling_refusals
from messaging.starting import started
from messaging.subscription import raw_batches
from runtime import EXIT_FATAL, Health, Settings, Unrecoverable, unless_set
from runtime.retry import Budget

log = structlog.get_logger(__name__)

HANDLED = Counter("tillstream_records_handled", "Records handled, by topic.", ["topic"])
RETRIES = Counter("tillstream_batch_retries", "Batches tried again after a failure, by topic.", ["topic"])
SECONDS = Histogram(
    "tillstream_batch_seconds", "Seconds from a batch's arrival until it is handled.", ["topic"]
)

REVOKE_WAIT = 10.0
# How soon a partition goes on once its handler lets it.
HELD_BACK_LOOK = 2.0
# Work → what is told when it is tried again, and when it is given up.
_FAILURES = {
    "assignment": ("consumer.assignment_retried", "consumer.assignment_failed"),
    "batch": ("consumer.batch_retried", "consumer.batch_failed"),
}

accept_any_header_name()
commit_as_members_only()


class BatchConsumer(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """Feeds one topic's records to a handler as a member of a consumer group."""

    def __init__(
        self, settings: Settings, *, topic: str, group: str, handler: BatchHandler, health: Health
    ) -> None:
        # A counter that begins with its first failure shows no rise to who watches it.
        RETRIES.labels(topic)
        self._settings = settings
        self._kafka = KafkaConnection.of(settings)
        self._topic = topic
        self._group = group
        self._handler = handler
        self._positions: dict[TopicPartition, int] = {}
        self._in_flight = asyncio.Lock()
        self._epoch = 0
        self._taking_up: asyncio.Task[None] | None = None
        self._exit_status = 0
        self._commits = OffsetCommits(self._commit, handler.acknowledged)
        self._progress = Progress(
            settings, topic, group, positions=self._positions, in_flight=self._in_flight
        )
        self._health = health
        health.add("consumer", self._problem)
        self._app, self._subscriber = raw_batches(settings, topic, group, listener=self)
        self._subscriber(self._on_records)
        self.stopping = asyncio.Event()
        """Set once `run` is to end."""

    async def run(self) -> int:
        """Consume until `stop`, or until another process has taken our partitions over; leave the group.

        Returns the exit status: 0, or EXIT_FATAL past the retry budget. Runs once.
        """
        watcher = asyncio.create_task(self._watch())
        try:
            await self._start_and_wait()
        except UnknownTopicOrPartitionError:
            log.error("consumer.topic_missing", topic=self._topic, advice="make the topics: till migrate")  # noqa: TRY400 - the traceback says less
            return EXIT_FATAL
        finally:
            watcher.cancel()
            if self._taking_up is not None:
                self._taking_up.cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(REVOKE_WAIT), self._in_flight:
                    await self._commits.flush()
            # What a batch that outlives this has reached is not committed.
            self._epoch += 1
            self._commits.forget()
            await self._app.stop()
            await asyncio.wait({watcher})
            self._progress.forget(self._positions)
        log.info("consumer.stopped", topic=self._topic, group=self._group, status=self._exit_status)
        return self._exit_status

    async def _start(self) -> None:
        try:
            async with telling_refusals(self._kafka):
                await self._app.start()
        except Exception:
            # It may have opened connections.
            await self._app.stop()
            raise

    async def _start_and_wait(self) -> None:
        """Start, and wait until we are to stop; a start under way, which can take long, is given up then."""
        starting = started(self._start, self._health, self._settings.retry_budget)
        await unless_set(self.stopping, starting)
        await self.stopping.wait()

    def stop(self) -> None:
        """Let `run` end once the batch in flight has."""
        self.stopping.set()

    @property
    def _consumer(self) -> AIOKafkaConsumer:
        return self._subscriber.consumer

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Let the batch in flight end, within a bound; what it writes later is fenced in the database."""
        self._epoch += 1
        self._progress.left()
        if self._taking_up is not None:
            self._taking_up.cancel()
        try:
            async with asyncio.timeout(REVOKE_WAIT), self._in_flight:
                await self._commits.flush()
                self._positions.clear()
                await self._handler.revoked()
        except TimeoutError:
            self._positions.clear()
            log.warning("consumer.batch_outlives_assignment", topic=self._topic, waited=REVOKE_WAIT)
        self._commits.forget()
        self._progress.forget(revoked)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Pause the partitions before anything is fetched and take them up in a task."""
        if assigned:
            self._consumer.pause(*assigned)
            if "getmany" not in vars(self._consumer):
                self._consumer.getmany = partial(self._get_many, self._consumer.getmany)
                fetch_only_when_empty(self._consumer)
        self._epoch += 1
        self._commits.forget()
        self._progress.joined()
        if assigned:
            self._taking_up = asyncio.create_task(self._take_up(list(assigned), self._epoch))
        log.info("consumer.assigned", topic=self._topic, group=self._group, partitions=len(assigned))

    async def _take_up(self, partitions: list[TopicPartition], epoch: int) -> None:
        async def seek() -> None:
            with suppress(*GONE):
                await self._seek(partitions, epoch)

        await self._until_done(seek, epoch, "assignment")

    async def _seek(self, partitions: list[TopicPartition], epoch: int) -> None:
        committed = await committed_offsets(self._kafka, self._group, partitions)
        beginnings = await self._consumer.beginning_offsets(partitions)
        ends = await self._consumer.end_offsets(partitions)
        facts = {p: Assigned(committed.get(p), beginnings[p], ends[p]) for p in partitions}
        positions = dict(await self._handler.assigned(facts))
        if epoch != self._epoch:
            return
        for partition, offset in positions.items():
            self._consumer.seek(partition, offset)
        self._positions.update(positions)
        await self._commits.now(positions)
        self._progress.made()
        self._consumer.resume(*partitions)

    async def _commit(self, positions: Mapping[TopicPartition, int]) -> None:
        await self._consumer.commit(
            {partition: OffsetAndMetadata(offset, MARKER) for partition, offset in positions.items()}
        )

    async def _on_records(self, records: tuple[ConsumerRecord[bytes, bytes], ...]) -> None:
        epoch, started = self._epoch, time.monotonic()
        async with self._in_flight:
            if await self._until_done(partial(self._handle, records, epoch), epoch, "batch"):
                SECONDS.labels(self._topic).observe(time.monotonic() - started)
                self._progress.made()

    async def _until_done(
        self, work: Callable[[], Awaitable[None]], epoch: int, what: Literal["assignment", "batch"]
    ) -> bool:
        """Do the work, trying again while the epoch lasts and we go on; tell whether it was done."""
        budget, (retried, failed) = Budget(self._settings.retry_budget), _FAILURES[what]
        while epoch == self._epoch and not self.stopping.is_set():
            try:
                await work()
            except Fenced:
                # We are no member any more, or hold what has been replaced: only to join anew can help.
                log.warning("consumer.fenced", topic=self._topic, group=self._group)
                self.stop()
            except Unrecoverable as error:
                self._give_up("consumer.refused", error)
            except Exception as error:  # noqa: BLE001 - tried again, then the process ends
                delay = budget.next_delay(error)
                if delay is None:
                    self._give_up(failed, error)
                    break
                if what == "batch":
                    RETRIES.labels(self._topic).inc()
                log.warning(retried, topic=self._topic, error=repr(error), delay=delay)
                await asyncio.sleep(delay)
            else:
                return True
        return False

    async def _handle(self, records: tuple[ConsumerRecord[bytes, bytes], ...], epoch: int) -> None:
        batch: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {}
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            # Records fetched before a seek can still arrive after it.
            if record.offset >= self._positions.get(partition, record.offset + 1):
                batch.setdefault(partition, []).append(record)
        await self._check_nothing_lost(batch)
        if epoch != self._epoch or not batch:
            # Taken away while Kafka was asked: they may be ours again by now, from another place on.
            return
        held = await self._handler.handle(batch) or {}
        positions = {p: held.get(p, found[-1].offset + 1) for p, found in batch.items()}
        HANDLED.labels(self._topic).inc(
            sum(record.offset < positions[p] for p, found in batch.items() for record in found)
        )
        if epoch != self._epoch:
            # The partitions are another's by now, who goes on from the database.
            return
        self._positions.update(positions)
        self._progress.handled({p: found[-1].timestamp for p, found in batch.items() if p not in held})
        self._hold_back(held, epoch)
        self._commits.reached(positions)

    def _hold_back(self, held: Mapping[TopicPartition, int], epoch: int) -> None:
        """Fetch partitions no further than where they are held, and look again in a while."""
        for partition, offset in held.items():
            self._consumer.pause(partition)
            self._consumer.seek(partition, offset)
        if held:
            asyncio.get_running_loop().call_later(HELD_BACK_LOOK, self._look_again, list(held), epoch)

    def _look_again(self, partitions: Sequence[TopicPartition], epoch: int) -> None:
        if epoch == self._epoch and not self.stopping.is_set():
            self._consumer.resume(*partitions)

    async def _check_nothing_lost(self, batch: Fetched) -> None:
        """Raise Unrecoverable where Kafka has deleted records before we got to them.

        aiokafka goes on from the first record there is, without a word. A gap alone says nothing: the marks
        of a sender's transactions leave some. What is to be done is decided at the next assignment.
        """
        gaps = {
            partition: self._positions[partition]
            for partition, found in batch.items()
            if found[0].offset > self._positions[partition]
        }
        beginnings = await self._consumer.beginning_offsets(list(gaps)) if gaps else {}
        for partition, position in gaps.items():
            if beginnings[partition] > position:
                raise Unrecoverable(
                    f"{self._topic}/{partition.partition} begins at {beginnings[partition]} by now: what was"
                    f" to be handled from {position} on was deleted before"
                )

    async def _get_many(self, get_many: GetMany, *, timeout_ms: int, max_records: int) -> Fetched:
        """Wait until there are records or we stop: FastStream sleeps after each answer without any."""
        while not self.stopping.is_set():
            epoch = self._epoch
            try:
                fetched = await fetch_batch(
                    self._consumer, get_many, timeout_ms=timeout_ms, max_records=max_records
                )
            except Unrecoverable as error:
                self._give_up("consumer.unreadable", error)
                break
            if epoch == self._epoch:
                if fetched:
                    return fetched
                continue
            # It may be of before the new assignment or of after: it is fetched again, from where that begins.
            for partition in fetched.keys() & self._positions.keys():
                self._consumer.seek(partition, self._positions[partition])
        return {}

    def _give_up(self, event: str, error: Exception) -> None:
        # Neither SystemExit nor a bare raise ends FastStream's loop, and `stop` alone lets it consume on.
        log.error(
            event, topic=self._topic, group=self._group, reason=str(error) or repr(error), exc_info=error
        )
        self._exit_status = EXIT_FATAL
        self._subscriber.running = False
        self.stop()

    async def _watch(self) -> None:
        error = await self._progress.watch(lambda: self._subscriber.consumer)
        # FastStream tries again for ever, and a supervisor would never know.
        self._give_up("consumer.kafka_lost", error)

    def _problem(self) -> str | None:
        if self._exit_status:
            return f"gave up on {self._topic} and ends; the log says why"
        taking_up = self._taking_up is not None and not self._taking_up.done()
        return self._progress.problem(taking_up=taking_up)
