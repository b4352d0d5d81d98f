"""Fetches the records of one batch, bounded by their bytes as well as by their number.

aiokafka bounds the number only, and takes what it holds of all partitions apart in one stretch, which can be
tens of megabytes: no heartbeat goes out meanwhile, and their handling outlives the group's session.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException, KafkaError, UnsupportedCodecError

from runtime import Unrecoverable

BATCH_BYTES = 2 * 1024 * 1024
"""No further partition is taken from once a batch holds so much; one alone gives 1 MiB at the most."""

Fetched: TypeAlias = dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]
GetMany: TypeAlias = Callable[..., Awaitable[Fetched]]
_UNREADABLE = (CorruptRecordException, UnsupportedCodecError)


async def fetch_batch(
    consumer: AIOKafkaConsumer, get_many: GetMany, *, timeout_ms: int, max_records: int
) -> Fetched:
    """Return the next records, once there are any or `timeout_ms` has passed.

    Raises KafkaError, and Unrecoverable with the place where a batch can't be taken apart: what was fetched
    in the same call is then lost to this consumer, its position moved on, and it must not go on.
    """
    fetched: Fetched = {}
    try:
        # One record is waited for, of the partition whose records have waited longest; then each gives what
        # is there.
        first = await get_many(timeout_ms=timeout_ms, max_records=1)
        fetched.update(first)
        count, size = len(first), _size(first)
        for partition in [*first, *(consumer.assignment() - first.keys())] if first else ():
            if count >= max_records or size >= BATCH_BYTES:
                break
            found = await get_many(partition, timeout_ms=0, max_records=max_records - count)
            for each, records in found.items():
                fetched.setdefault(each, []).extend(records)
                count += len(records)
            size += _size(found)
            # Heartbeats go out between two partitions.
            await asyncio.sleep(0)
    except ConsumerStoppedError:
        raise
    except Exception as error:
        if not isinstance(error, KafkaError) or isinstance(error, _UNREADABLE):
            place = ", ".join(_broken_places(consumer)) or "a record"
            raise Unrecoverable(
                f"{place} can't be read: {error}. Move the group past it with Kafka's tools"
            ) from error
        # What was fetched before an error must not be lost; a lasting error comes again.
        if not fetched:
            raise
    return fetched


def _size(fetched: Fetched) -> int:
    return sum(
        max(0, record.serialized_key_size)
        + max(0, record.serialized_value_size)
        + sum([len(name) + len(value or b"") for name, value in record.headers])
        for records in fetched.values()
        for record in records
    )


def _broken_places(consumer: AIOKafkaConsumer) -> list[str]:
    """Name where the batches begin whose iteration has ended by an error."""
    return [
        f"{partition.topic}/{partition.partition}/{records.next_fetch_offset}"
        for partition, fetched in consumer._fetcher._records.items()  # noqa: SLF001 - told nowhere else
        if (records := getattr(fetched, "_partition_records", None)) is not None
        and records._records_iterator.gi_frame is None  # noqa: SLF001 - the one that ended by the error
    ]
