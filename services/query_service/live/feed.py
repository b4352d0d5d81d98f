"""The service's one tail of `orders.events`, and the readers that it feeds."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

import structlog
from aiokafka import ConsumerRecord
from prometheus_client import Counter, Gauge

from commands import ORDERS
from messaging import KafkaConnection, RecordsGone, TopicMadeAnew, TopicTail, Undecodable, Vector, event_json
from queries import EventFilter
from runtime import Health

log = structlog.get_logger(__name__)

READERS = Gauge("tillstream_live_readers", "Readers of live events that have caught up.")
SHOWN = Counter("tillstream_live_events", "Live events given to readers, counted for each reader.")
SLOW = Counter("tillstream_live_readers_too_slow", "Readers of live events let go for being too slow.")

# Events that wait for one reader; past them it is let go, and comes back for the rest with its last id.
WAITING = 1_000
RETRY_DELAY = 1.0
# Kafka answers twice a second: after this much silence, what we know of the ends is old.
SILENCE = 10.0
# Others get their turn within so many records.
_RECORDS_AT_A_TIME = 200


class Shown(NamedTuple):
    """The place behind an event, as text, and the event as JSON; None for a place alone."""

    place: str
    event: bytes | None


class Subscription:
    """What waits for one reader."""

    def __init__(self, wanted: EventFilter, positions: Mapping[int, int]) -> None:
        self.test = wanted.test(ORDERS.type_prefix)
        self.first = dict(positions)
        """Partition → offset from which on this gives the records."""
        self.passed: dict[int, int] = {}
        """Partition → offset below which the reader has all, where that is ahead of `first`."""
        self.waiting: asyncio.Queue[Shown | None] = asyncio.Queue(WAITING)
        """None only wakes who waits."""
        self.ended: str | None = None
        """Why no more comes; None while it may."""

    def end(self, reason: str) -> None:
        """Give no more, and wake who waits."""
        self.ended = self.ended or reason
        if self.waiting.empty():
            self.waiting.put_nowait(None)


class Feed:
    """Follows the topic while `run` runs, and hands each record to the readers that want it."""

    def __init__(self, kafka: KafkaConnection, topic: str, health: Health) -> None:
        self.kafka = kafka
        self.topic = topic
        self._tail: TopicTail | None = None
        self._topic_id = UUID(int=0)
        self._positions: dict[int, int] = {}
        self._readers: defaultdict[bytes, set[Subscription]] = defaultdict(set)
        self._somebody = asyncio.Event()
        # Questions are answered without Kafka too.
        health.add_state("live_events", self._problem)

    @property
    def ready(self) -> bool:
        """Whether the topic is being followed, and Kafka answers."""
        return self._problem() is None

    @property
    def topic_id(self) -> UUID:
        """The id of the topic that is being followed."""
        return self._topic_id

    @property
    def positions(self) -> dict[int, int]:
        """Partition → the offset behind the last record that was handed out."""
        return dict(self._positions)

    def ends(self) -> Mapping[int, int] | None:
        """Return partition → where the topic ends, about a second old; None while Kafka is away."""
        tail = self._tail
        return None if tail is None or tail.silent_for > SILENCE else tail.ends

    async def run(self) -> None:
        """Follow the topic until cancelled; what goes wrong is told, and tried again."""
        while True:
            try:
                async with TopicTail.open(self.kafka, self.topic) as tail:
                    self._tail, self._topic_id = tail, tail.topic_id
                    self._positions = dict(tail.positions)
                    log.info("live.following", topic=self.topic, partitions=len(tail.positions))
                    while True:
                        page = await tail.next_page()
                        # A partition that was added has a place before its first record.
                        self._positions = dict.fromkeys(tail.positions, 0) | self._positions
                        await self._hand_out(page)
                        await tail.rest(page, self._somebody)
            except (TopicMadeAnew, RecordsGone) as gone:
                log.error("live.topic_changed", reason=str(gone))  # noqa: TRY400 - no fault of ours
                self._end_all("the topic has changed")
            except Exception as error:  # noqa: BLE001 - told, and the next try may find it mended
                log.warning("live.not_following", topic=self.topic, error=repr(error))
                # The next tail begins at the end: who is here now comes back for what lies between.
                self._end_all("the events can't be followed at the moment")
            finally:
                self._tail = None
            await asyncio.sleep(RETRY_DELAY)

    @contextmanager
    def subscribe(self, wanted: EventFilter) -> Iterator[Subscription]:
        """Give what comes from this moment on, or a little before it, until the body ends."""
        subscription = Subscription(wanted, self._positions)
        tenant = (wanted.tenant or "").encode()
        self._readers[tenant].add(subscription)
        self._somebody.set()
        READERS.inc()
        try:
            yield subscription
        finally:
            READERS.dec()
            self._readers[tenant].discard(subscription)
            if not self._readers[tenant]:
                del self._readers[tenant]
            if not self._readers:
                self._somebody.clear()

    def place(self, passed: Mapping[int, int]) -> str:
        """Return the place behind all that was handed out, or further where a reader has passed it."""
        return str(Vector.of(self._topic_id, _furthest(self._positions, passed)))

    async def _hand_out(self, records: list[ConsumerRecord[bytes, bytes]]) -> None:
        for number, record in enumerate(records, start=1):
            # The place moves with each record, never ahead: who subscribes in between starts right here.
            self._positions[record.partition] = record.offset + 1
            headers = dict(record.headers)
            # None is made here: most tenants have no reader.
            readers = self._readers.get(headers.get("ce_tenantid", b""))
            if readers:
                self._give(record, headers, [each for each in readers if each.test.holds(headers)])
            if number % _RECORDS_AT_A_TIME == 0:
                await asyncio.sleep(0)

    def _give(
        self, record: ConsumerRecord[bytes, bytes], headers: Mapping[str, bytes], readers: list[Subscription]
    ) -> None:
        event: bytes | None = None
        for reader in readers:
            if record.offset < reader.passed.get(record.partition, 0) or reader.ended:
                continue
            event = event or readable(record)
            if event is None:
                return
            try:
                reader.waiting.put_nowait(Shown(self.place(reader.passed), event))
                SHOWN.inc()
            except asyncio.QueueFull:
                SLOW.inc()
                log.info("live.reader_too_slow", tenant=headers["ce_tenantid"].decode(errors="replace"))
                reader.end("too slow")

    def _end_all(self, reason: str) -> None:
        for readers in self._readers.values():
            for reader in readers:
                reader.end(reason)

    def _problem(self) -> str | None:
        if self._tail is None:
            return f"{self.topic} is not being followed"
        if (silent := self._tail.silent_for) > SILENCE:
            return f"Kafka has said nothing of {self.topic} for {silent:.0f} s"
        return None


def readable(record: ConsumerRecord[bytes, bytes]) -> bytes | None:
    """Return the event as JSON; None, which is logged, for a record that is none."""
    try:
        return event_json(record)
    except Undecodable as error:
        log.error(  # noqa: TRY400 - no fault of ours
            "live.no_event", partition=record.partition, offset=record.offset, reason=str(error)
        )
        return None


def _furthest(positions: Mapping[int, int], passed: Mapping[int, int]) -> Mapping[int, int]:
    if not passed:
        return positions
    return {number: max(offset, passed.get(number, 0)) for number, offset in positions.items()}
