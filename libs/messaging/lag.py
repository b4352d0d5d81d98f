"""How old the oldest record is that a consumer has not handled, by the record's own timestamp.

A count of records can't tell trouble from a busy moment, and a frozen high-water mark reads as none waiting.
An age that only handling can lower does.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import Gauge

from messaging.connection import KafkaConnection

log = structlog.get_logger(__name__)

OLDEST = Gauge(
    "tillstream_consumer_oldest_seconds",
    "Age of the oldest record not yet handled, by its timestamp; 0 when there is none.",
    ["topic", "group", "partition"],
)

LOOK_TIMEOUT = 2.0
CLOSE_TIMEOUT = 2.0
# Records that are handled as they come are not worth a look.
JUST_NOW = 2.0
_NOT_READ = -1
_POLL_MS = 200
# One record of a partition is enough: the oldest.
_FETCH_BYTES = 64 * 1024


class OldestUnhandled:
    """Keeps the gauge of one group's member.

    It reads the one record by a client of its own, outside of the group: the member's own position must not
    move. A record that was looked up once is not read again while it waits.
    """

    def __init__(self, kafka: KafkaConnection, group: str, clock: Callable[[], float] = time.time) -> None:
        self._kafka = kafka
        self._group = group
        self._clock = clock
        self._reader: AIOKafkaConsumer | None = None
        # Where each partition's oldest record lies, and its timestamp in seconds.
        self._waiting: dict[TopicPartition, tuple[int, float]] = {}

    async def look(
        self,
        places: Mapping[TopicPartition, int],
        held: Collection[TopicPartition],
        handled_up_to: Mapping[TopicPartition, int],
    ) -> None:
        """Find the ages of the records at `places`, the oldest unhandled ones; the rest of `held` has none.

        Where the last record that was handled is only a moment old by its timestamp (`handled_up_to`, in
        milliseconds), the next one counts as just as old, and is not read.

        It takes LOOK_TIMEOUT seconds at most and never raises KafkaError: where a record can't be had in that
        time, the one of before goes on ageing.
        """
        for partition in held:
            if partition not in places:
                self._waiting.pop(partition, None)
            # Taken at the scrape, so that it grows whatever becomes of the one who looks.
            OLDEST.labels(*self._labels(partition)).set_function(partial(self._age, partition))
        unknown: dict[TopicPartition, int] = {}
        for partition, place in places.items():
            if self._waiting.get(partition, (_NOT_READ,))[0] == place:
                continue
            since = handled_up_to.get(partition, 0) / 1000
            if self._clock() - since < JUST_NOW:
                self._waiting[partition] = (_NOT_READ, since)
            else:
                unknown[partition] = place
        if not unknown:
            return
        try:
            async with asyncio.timeout(LOOK_TIMEOUT):
                await self._read(unknown)
        except Exception as error:  # noqa: BLE001 - a record that can't be read is told where it is handled
            log.info("lag.not_measured", group=self._group, error=repr(error))
            await self.close()

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """Tell nothing more of partitions that are not held any more."""
        for partition in partitions:
            self._waiting.pop(partition, None)
            OLDEST.remove(*self._labels(partition))

    async def close(self) -> None:
        """Close the reader, within a bound."""
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await reader.stop()

    async def _read(self, places: Mapping[TopicPartition, int]) -> None:
        if self._reader is None:
            # What retention has deleted is handled by nobody: then it goes by the earliest there is.
            self._reader = self._kafka.consumer(
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=_FETCH_BYTES,
                # What waits behind a transaction that is open ages too.
                isolation_level="read_uncommitted",
            )
            await self._reader.start()
        missing = dict(places)
        self._reader.assign(list(missing))
        for partition, place in missing.items():
            self._reader.seek(partition, place)
        while missing:
            for partition, records in (await self._reader.getmany(*missing, timeout_ms=_POLL_MS)).items():
                self._waiting[partition] = (missing.pop(partition), records[0].timestamp / 1000)
        # Else it would go on fetching what follows.
        self._reader.unsubscribe()

    def _age(self, partition: TopicPartition) -> float:
        if partition not in self._waiting:
            return 0.0
        return max(0.0, self._clock() - self._waiting[partition][1])

    def _labels(self, partition: TopicPartition) -> tuple[str, str, str]:
        return partition.topic, self._group, str(partition.partition)
