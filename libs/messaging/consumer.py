"""A consumer for handlers that keep their results in a database: the offsets follow the transaction.

The shape answers traps seen in FastStream 0.7 and aiokafka 0.14: a failed batch is tried again in place (a
handler's exception would only be logged and passed over), offsets are committed explicitly from the records
handled, an assignment is taken up in a task with the partitions paused (no heartbeats go out while the
callback runs), and a process that gives up ends non-zero.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    ConsumerStoppedError,
    CorruptRecordException,
    IllegalStateError,
    KafkaError,
    UnknownTopicOrPartitionError,
    UnsupportedCodecError,
)
from aiokafka.structs import OffsetAndMetadata
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from prometheus_client import Counter, Gauge, Histogram

from messaging.connection import KafkaConnection
from messaging.handling import Assigned, BatchHandler, Fenced, Unrecoverable
from messaging.offsets import MARKER, committed_offsets
from messaging.refusals import telling_refusals
from messaging.retrying import Budget
from runtime import EXIT_FATAL, Health, Settings

log = structlog.get_logger(__name__)
# FastStream's own logger writes past our JSON; its warnings only say that it makes no topics.
_faststream_log = logging.getLogger(f"{__name__}.faststream")
_faststream_log.setLevel(logging.ERROR)

HANDLED = Counter("tillstream_records_handled", "Records handled, by topic.", ["topic"])
RETRIES = Counter("tillstream_batch_retries", "Batches tried again after a failure, by topic.", ["topic"])
SECONDS = Histogram(
    "tillstream_batch_seconds", "Seconds from a batch's arrival to its offset commit.", ["topic"]
)
LAG = Gauge(
    "tillstream_consumer_lag_records", "Records not yet handled, by group.", ["topic", "group", "partition"]
)

SESSION_TIMEOUT_MS = 10_000
REVOKE_WAIT = 10.0
COMMIT_WAIT = 10.0
SHUTDOWN_WAIT = 15.0
WATCH_INTERVAL = 2.0
# A commit for a partition that has been taken away meanwhile: the next owner goes on from the database.
_GONE = (CommitFailedError, IllegalStateError)
_Fetched: TypeAlias = Mapping[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]]
_UNREADABLE = (CorruptRecordException, UnsupportedCodecError)


class BatchConsumer(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """Feeds one topic's records to a handler as a member of a consumer group."""

    def __init__(
        self, settings: Settings, *, topic: str, group: str, handler: BatchHandler, health: Health
    ) -> None:
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
        self._joined = False
        self._progress_at = time.monotonic()
        health.add("consumer", self._problem)
        broker = KafkaBroker(
            self._kafka.bootstrap_servers.split(","),
            security=self._kafka.security(),
            # What Kafka's own tools show an operator.
            client_id=group,
            logger=_faststream_log,
            apply_types=False,
            consumer_only=True,
            graceful_timeout=SHUTDOWN_WAIT,
        )
        self._subscriber = broker.subscriber(
            topic,
            batch=True,
            group_id=group,
            listener=self,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            parser=self._parse,
            decoder=self._decode,
            no_reply=True,
            max_records=settings.batch_records,
            # After an empty poll FastStream sleeps this long once more, which bounds the latency from below.
            batch_timeout_ms=20,
            fetch_max_wait_ms=100,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=1_000,
            rebalance_timeout_ms=30_000,
        )
        self._subscriber(self._on_records)
        self._app = FastStream(broker, logger=_faststream_log)
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Consume until `stop`, or until another process has taken our partitions over; leave the group.

        Returns the exit status: 0, or EXIT_FATAL past the retry budget. Runs once.
        """
        watcher = asyncio.create_task(self._watch())
        try:
            async with telling_refusals(self._kafka):
                await self._start_and_wait()
        except UnknownTopicOrPartitionError:
            log.error("consumer.topic_missing", topic=self._topic, advice="make the topics: till migrate")  # noqa: TRY400 - the traceback says less
            return EXIT_FATAL
        finally:
            watcher.cancel()
            if self._taking_up is not None:
                self._taking_up.cancel()
            await self._app.stop()
            self._forget_lags(self._positions)
        log.info("consumer.stopped", topic=self._topic, group=self._group, status=self._exit_status)
        return self._exit_status

    async def _start_and_wait(self) -> None:
        """Start, and wait until we are to stop; a start under way, which can take long, is given up then."""
        starting = asyncio.create_task(self._app.start())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                await stopping
        finally:
            for task in (starting, stopping):
                task.cancel()
            await asyncio.wait({starting, stopping})

    def stop(self) -> None:
        """Let `run` end once the batch in flight has."""
        self._stopping.set()

    # FastStream's own parser decodes every header and body; raw records are some six times as fast, and a
    # record that can't be decoded then fails in our handler, where it can be dead-lettered.
    async def _parse(self, records: tuple[ConsumerRecord[bytes, bytes], ...]) -> KafkaAckableMessage:
        return KafkaAckableMessage(
            raw_message=records, body=b"", consumer=self._consumer, message_id="-", correlation_id="-"
        )

    async def _decode(self, message: KafkaAckableMessage) -> Any:  # noqa: ANN401 - the records as they came
        return message.raw_message

    @property
    def _consumer(self) -> AIOKafkaConsumer:
        return self._subscriber.consumer

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Let the batch in flight end, within a bound; what it writes later is fenced in the database."""
        self._epoch += 1
        # Until the group has a new assignment, which may never come (aiokafka#1154), nothing gets done here.
        self._joined, self._progress_at = False, time.monotonic()
        if self._taking_up is not None:
            self._taking_up.cancel()
        try:
            async with asyncio.timeout(REVOKE_WAIT), self._in_flight:
                self._positions.clear()
                await self._handler.revoked()
        except TimeoutError:
            self._positions.clear()
            log.warning("consumer.batch_outlives_assignment", topic=self._topic, waited=REVOKE_WAIT)
        self._forget_lags(revoked)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Pause the partitions before anything is fetched and take them up in a task."""
        if assigned:
            self._consumer.pause(*assigned)
            if "getmany" not in vars(self._consumer):
                self._consumer.getmany = partial(self._get_many, self._consumer.getmany)
        self._epoch += 1
        self._progress_at = time.monotonic()
        self._joined = True
        if assigned:
            self._taking_up = asyncio.create_task(self._take_up(list(assigned), self._epoch))
        log.info("consumer.assigned", topic=self._topic, group=self._group, partitions=len(assigned))

    async def _take_up(self, partitions: list[TopicPartition], epoch: int) -> None:
        budget = Budget(self._settings.retry_budget)
        while epoch == self._epoch:
            try:
                await self._seek(partitions, epoch)
            except _GONE:
                return
            except Unrecoverable as error:
                self._give_up("consumer.refused", error)
                return
            except Exception as error:  # noqa: BLE001 - tried again, then the process ends
                delay = budget.next_delay()
                if delay is None:
                    self._give_up("consumer.assignment_failed", error)
                    return
                log.warning("consumer.assignment_retried", topic=self._topic, error=repr(error))
                await asyncio.sleep(delay)
            else:
                return

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
        await self._commit(positions)
        self._progress_at = time.monotonic()
        self._consumer.resume(*partitions)

    async def _commit(self, positions: Mapping[TopicPartition, int]) -> None:
        # aiokafka tries again without a bound while the group's coordinator is away.
        async with asyncio.timeout(COMMIT_WAIT):
            await self._consumer.commit(
                {partition: OffsetAndMetadata(offset, MARKER) for partition, offset in positions.items()}
            )
        self._handler.acknowledged(positions)

    async def _on_records(self, records: tuple[ConsumerRecord[bytes, bytes], ...]) -> None:
        epoch, started, budget = self._epoch, time.monotonic(), Budget(self._settings.retry_budget)
        async with self._in_flight:
            while epoch == self._epoch and self._exit_status == 0 and not self._stopping.is_set():
                try:
                    await self._handle(records, epoch)
                except Fenced:
                    # We are no member any more, or hold what has been replaced: only to join anew can help.
                    log.warning("consumer.fenced", topic=self._topic, group=self._group)
                    self.stop()
                    return
                except Unrecoverable as error:
                    self._give_up("consumer.refused", error)
                    return
                except Exception as error:  # noqa: BLE001 - tried again, then the process ends
                    delay = budget.next_delay()
                    if delay is None:
                        self._give_up("consumer.batch_failed", error)
                        return
                    RETRIES.labels(self._topic).inc()
                    log.warning("consumer.batch_retried", topic=self._topic, error=repr(error), delay=delay)
                    await asyncio.sleep(delay)
                else:
                    SECONDS.labels(self._topic).observe(time.monotonic() - started)
                    self._progress_at = time.monotonic()
                    return

    async def _handle(self, records: tuple[ConsumerRecord[bytes, bytes], ...], epoch: int) -> None:
        batch: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {}
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            # Records fetched before a seek can still arrive after it.
            if record.offset >= self._positions.get(partition, record.offset + 1):
                batch.setdefault(partition, []).append(record)
        if not batch:
            return
        await self._handler.handle(batch)
        positions = {partition: found[-1].offset + 1 for partition, found in batch.items()}
        HANDLED.labels(self._topic).inc(sum(map(len, batch.values())))
        if epoch != self._epoch:
            # The partitions are another's by now, who goes on from the database.
            return
        self._positions.update(positions)
        try:
            await self._commit(positions)
        except (*_GONE, TimeoutError) as error:
            # Nothing is lost: the database has it, and the next commit covers this one.
            log.info("consumer.commit_failed", topic=self._topic, error=repr(error))

    async def _get_many(
        self, get_many: Callable[..., Awaitable[_Fetched]], *, timeout_ms: int, max_records: int
    ) -> _Fetched:
        """Fetch, and end where a record can't be taken apart, such as one with a header name not in UTF-8.

        What was fetched of other partitions in the same call is then lost to this process, its position moved
        on: to consume on would pass over it. The next process starts from what was handled.
        """
        try:
            return await get_many(timeout_ms=timeout_ms, max_records=max_records)
        except ConsumerStoppedError:
            raise
        except Exception as error:
            if isinstance(error, KafkaError) and not isinstance(error, _UNREADABLE):
                raise
            places = [
                f"{partition.topic}/{partition.partition}/{records.next_fetch_offset}"
                for partition, fetched in self._consumer._fetcher._records.items()  # noqa: SLF001 - told nowhere else
                if (records := getattr(fetched, "_partition_records", None)) is not None
                and records._records_iterator.gi_frame is None  # noqa: SLF001 - the one that ended by the error
            ]
            place = ", ".join(places) or f"a record of {self._topic}"
            reason = f"{place} can't be read: {error}. Move the group past it with Kafka's tools"
            self._give_up("consumer.unreadable", Unrecoverable(reason))
            return {}

    def _give_up(self, event: str, error: Exception) -> None:
        # Neither SystemExit nor a bare raise ends FastStream's loop, and `stop` alone lets it consume on.
        log.error(event, topic=self._topic, group=self._group, reason=str(error), exc_info=error)
        self._exit_status = EXIT_FATAL
        self._subscriber.running = False
        self.stop()

    async def _watch(self) -> None:
        """Compare positions with the partitions' ends: the consumer's own view of them can stall unseen."""
        silent = Budget(self._settings.retry_budget)
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            partitions = list(self._positions)
            if self._subscriber.consumer is None:
                continue
            try:
                async with asyncio.timeout(WATCH_INTERVAL * 2):
                    # A member without partitions asks just to see whether Kafka answers.
                    ends = await self._consumer.end_offsets(partitions) if partitions else {}
                    await self._consumer.topics()
                    held = {partition: end for partition, end in ends.items() if partition in self._positions}
                    lags = {p: max(0, end - await self._place(p)) for p, end in held.items()}
            except _GONE:
                # A partition was taken away while we looked.
                continue
            except Exception as error:  # noqa: BLE001 - told, and past the budget the process ends
                log.warning("consumer.kafka_silent", topic=self._topic, error=repr(error))
                if silent.next_delay() is None:
                    # FastStream tries again for ever, and a supervisor would never know.
                    self._give_up("consumer.kafka_lost", error)
                    return
                continue
            silent = Budget(self._settings.retry_budget)
            for partition, lag in lags.items():
                LAG.labels(self._topic, self._group, str(partition.partition)).set(lag)
            if not any(lags.values()):
                self._progress_at = time.monotonic()

    def _forget_lags(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            LAG.remove(self._topic, self._group, str(partition.partition))

    async def _place(self, partition: TopicPartition) -> int:
        """Return where the partition's next record to handle lies, or the next one to come."""
        handled = self._positions.get(partition, 0)
        if self._in_flight.locked():
            return handled
        # Past what is no record and is never handed out: the marks that a sender's transactions leave.
        fetched: int = await self._consumer.position(partition)
        return max(handled, fetched)

    def _problem(self) -> str | None:
        if self._exit_status:
            return f"gave up on {self._topic} and ends; the log says why"
        still = time.monotonic() - self._progress_at
        if not self._joined:
            return f"not in the group {self._group} for {still:.0f} s"
        # A member without partitions stands by: there is nothing it could get done.
        waiting = bool(self._positions) or (self._taking_up is not None and not self._taking_up.done())
        if waiting and still > self._settings.stalled_after:
            return f"no progress on {self._topic} for {still:.0f} s"
        return None
