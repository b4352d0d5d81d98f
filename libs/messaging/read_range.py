"""Reading a stretch of a partition once more, outside of any consumer group."""

import asyncio
from collections.abc import Callable

from aiokafka import ConsumerRecord, TopicPartition

from messaging.aiokafka_fixes.stopping import stop_consumer
from messaging.connection import KafkaConnection

# How long nothing may come. A stretch as a whole takes as long as it is large.
STALL_TIMEOUT = 15.0
_POLL_MS = 200
# The process's heartbeats as a member of its group go out between two pages.
_PAGE_RECORDS = 100


class _Found(Exception):
    """There is a record."""


async def is_without_records(kafka: KafkaConnection, partition: TopicPartition, first: int, end: int) -> bool:
    """Tell whether nothing is to be read from offset `first` up to, not including, `end`.

    The marks of senders' transactions, and what was taken back in them, are no records. Raises as
    `read_again` does.
    """

    def see(_record: ConsumerRecord[bytes, bytes]) -> None:
        raise _Found

    try:
        await read_again(kafka, partition, first, end, see)
    except _Found:
        return False
    return True


async def read_again(
    kafka: KafkaConnection,
    partition: TopicPartition,
    first: int,
    end: int,
    see: Callable[[ConsumerRecord[bytes, bytes]], None],
) -> None:
    """Call `see` with each record from offset `first` up to, not including, `end` that is still there.

    Raises KafkaError, and TimeoutError when no more records come; those before were seen.
    """
    if first >= end:
        return
    # `first` may have been deleted by now: then it goes on from the earliest.
    consumer = kafka.consumer(auto_offset_reset="earliest")
    clock, reached = asyncio.get_running_loop().time, first
    try:
        async with asyncio.timeout(STALL_TIMEOUT) as stall:
            await consumer.start()
            consumer.assign([partition])
            consumer.seek(partition, first)
            while (position := await consumer.position(partition)) < end:
                if position > reached:
                    reached = position
                    stall.reschedule(clock() + STALL_TIMEOUT)
                found = await consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=_PAGE_RECORDS)
                for record in found.get(partition, ()):
                    if record.offset < end:
                        see(record)
                await asyncio.sleep(0)
    finally:
        await stop_consumer(consumer)
