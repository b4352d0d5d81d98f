"""Whether a member of a consumer group gets its work done: its lag, its readiness, and Kafka's silence."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError
from prometheus_client import Gauge

from messaging.connection import KafkaConnection
from messaging.lag import OldestUnhandled
from runtime import Settings, Unrecoverable
from runtime.retry import Budget

log = structlog.get_logger(__name__)

LAG = Gauge(
    "tillstream_consumer_lag_records", "Records not yet handled, by group.", ["topic", "group", "partition"]
)

HELD = Gauge(
    "tillstream_consumer_held_seconds",
    "For how long a transaction that its sender left open has held the partition back; 0 when none does.",
    ["topic", "group", "partition"],
)

WATCH_INTERVAL = 2.0
ANSWER_TIMEOUT = 4.0


class Progress:
    """What one member makes known of itself.

    `positions` is the member's own mapping of each partition that it holds to its next record to handle;
    `in_flight` is locked while a batch is handled.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        group: str,
        *,
        positions: Mapping[TopicPartition, int],
        in_flight: asyncio.Lock,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._group = group
        self._positions = positions
        self._in_flight = in_flight
        self._oldest = OldestUnhandled(KafkaConnection.of(settings), group)
        # Where an open transaction begins that we have come up to, and since when it holds us there.
        self._held: dict[TopicPartition, tuple[int, float]] = {}
        # By partition, the timestamp of the last record that was handled, in milliseconds.
        self._handled_up_to: dict[TopicPartition, int] = {}
        self._joined = False
        self._made_at = time.monotonic()

    def handled(self, timestamps: Mapping[TopicPartition, int]) -> None:
        """Note the timestamps of the last records that were handled, in milliseconds since 1970."""
        self._handled_up_to.update(timestamps)

    def made(self) -> None:
        """Note that something got done, or that nothing was left to do."""
        self._made_at = time.monotonic()

    def joined(self) -> None:
        """Note that the group has given us an assignment."""
        self._joined = True
        self.made()

    def left(self) -> None:
        """Note that our partitions are taken away."""
        # Nothing gets done until the group has a new assignment, which may never come (aiokafka#1154).
        self._joined = False
        self.made()

    def problem(self, *, taking_up: bool) -> str | None:
        """Say why the member is not ready, None when it is; `taking_up` tells of an assignment under way."""
        still = time.monotonic() - self._made_at
        if not self._joined:
            return f"not in the group {self._group} for {still:.0f} s"
        # A member without partitions stands by: there is nothing it could get done.
        if held := self._held_back():
            return held
        if (self._positions or taking_up) and still > self._settings.stalled_after:
            return f"no progress on {self._topic} for {still:.0f} s"
        return None

    def _held_back(self) -> str | None:
        """Name the partitions that transactions hold back for longer than a living sender's last."""
        held = [
            f"{self._topic}/{partition.partition} at {offset} for {seconds:.0f} s"
            for partition, (offset, since) in sorted(self._held.items())
            if (seconds := time.monotonic() - since) > self._settings.stalled_after
        ]
        if not held:
            return None
        return f"held by a transaction that its sender left open: {', '.join(held)}; see docs/transactions.md"

    async def watch(self, consumer: Callable[[], AIOKafkaConsumer | None]) -> Exception:
        """Compare positions with the partitions' ends: the consumer's own view of them can stall unseen.

        Goes on until cancelled, or until Kafka has been silent for longer than the retry budget: then it
        returns the last error. Kafka having lost what we handled is returned at once.
        """
        silent = Budget(self._settings.retry_budget)
        try:
            while True:
                await asyncio.sleep(WATCH_INTERVAL)
                watched = consumer()
                if watched is None:
                    continue
                try:
                    await self._look(watched)
                except IllegalStateError:
                    # A partition was taken away while we looked.
                    continue
                except Unrecoverable as error:
                    return error
                except Exception as error:  # noqa: BLE001 - told, and past the budget it is the caller's
                    log.warning("consumer.kafka_silent", topic=self._topic, error=repr(error))
                    if silent.next_delay(error) is None:
                        return error
                else:
                    silent = Budget(self._settings.retry_budget)
        finally:
            await self._oldest.close()

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Tell nothing more of partitions that are not ours any more."""
        gone = list(partitions)
        for partition in gone:
            labels = (self._topic, self._group, str(partition.partition))
            LAG.remove(*labels)
            HELD.remove(*labels)
            self._held.pop(partition, None)
            self._handled_up_to.pop(partition, None)
        self._oldest.forget(gone)

    async def _look(self, consumer: AIOKafkaConsumer) -> None:
        handled = dict(self._positions)
        partitions = list(handled)
        async with asyncio.timeout(ANSWER_TIMEOUT):
            # A member without partitions asks just to see whether Kafka answers.
            ends = await consumer.end_offsets(partitions) if partitions else {}
            await consumer.topics()
            places = {p: await self._place(consumer, p) for p in ends if p in self._positions}
        held = places.keys() & self._positions.keys()
        # What can be read ends before an open transaction; what was written doesn't.
        written = {p: max(ends[p], consumer.highwater(p) or 0) for p in held}
        for partition in held:
            # aiokafka would start anew, and what it then reads lies below our position until it is past that.
            if written[partition] < handled[partition]:
                raise Unrecoverable(
                    f"{self._topic}/{partition.partition} ends at {written[partition]} by now, before"
                    f" {handled[partition]}: Kafka has lost records that were handled"
                )
        for partition in held:
            labels = (self._topic, self._group, str(partition.partition))
            LAG.labels(*labels).set(max(0, written[partition] - places[partition]))
            held_for = self._held_for(partition, places[partition], ends[partition], written[partition])
            HELD.labels(*labels).set(held_for)
        waiting = {p: places[p] for p in held if written[p] > places[p]}
        if not waiting:
            self.made()
        await self._oldest.look(waiting, held, self._handled_up_to)

    def _held_for(self, partition: TopicPartition, place: int, readable_end: int, end: int) -> float:
        """Return for how many seconds an open transaction has held a partition back, and note it."""
        before = self._held.pop(partition, None)
        if not readable_end <= place < end:
            return 0.0
        now = time.monotonic()
        since = now if before is None or before[0] != readable_end else before[1]
        self._held[partition] = (readable_end, since)
        return now - since

    async def _place(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> int:
        """Return where the partition's next record to handle lies, or the next one to come."""
        handled = self._positions.get(partition, 0)
        if self._in_flight.locked():
            return handled
        # Past what is no record and is never handed out: the marks that a sender's transactions leave.
        fetched: int = await consumer.position(partition)
        return max(handled, fetched)
