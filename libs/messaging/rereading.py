"""Reading a stretch of a partition once more, outside of any consumer group."""

import asyncio
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from messaging.connection import KafkaConnection

# A thousand records of the largest size take some seconds.
READ_TIMEOUT = 30.0
_POLL_MS = 200


async def read_again(
    kafka: KafkaConnection,
    partition: TopicPartition,
    first: int,
    end: int,
    see: Callable[[ConsumerRecord[bytes, bytes]], None],
) -> None:
    """Call `see` with each record from offset `first` up to, not including, `end` that is still there.

    Raises KafkaError or TimeoutError.
    """
    if first >= end:
        return
    # `first` may have been deleted by now: then it goes on from the earliest.
    consumer = AIOKafkaConsumer(**kafka.options(), auto_offset_reset="earliest", enable_auto_commit=False)
    async with asyncio.timeout(READ_TIMEOUT):
        await consumer.start()
        try:
            consumer.assign([partition])
            consumer.seek(partition, first)
            while await consumer.position(partition) < end:
                found = await consumer.getmany(partition, timeout_ms=_POLL_MS)
                for record in found.get(partition, ()):
                    if record.offset < end:
                        see(record)
        finally:
            await consumer.stop()
