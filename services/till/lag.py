"""How far each read model is behind the topic of events."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from messaging import (
    Committed,
    InvalidAttribute,
    KafkaConnection,
    Topics,
    Undecodable,
    committed_offsets,
    decode_event,
)
from readmodels import READ_MODELS
from runtime import Settings
from till.errors import NotUpError, TillError

_ASKING_TIMEOUT = 15.0
_RETRY_SECONDS = 0.2


class Lag(NamedTuple):
    """Events on the topic that a read model has not applied, and the age of the oldest; 0 when level."""

    records: int
    oldest_seconds: float


async def read_lag(where: Settings) -> dict[str, Lag]:
    """Return the lag of every read model.

    It goes by the offsets that the projectors commit to Kafka after each transaction, so it is true for a
    stopped projector and after a reset with any Kafka tool; after a crash it may count the last batch twice.
    Raises NotUpError when Kafka doesn't answer, TillError when the topic is missing.
    """
    topics, kafka = Topics(where.topic_prefix), KafkaConnection.of(where)
    consumer = AIOKafkaConsumer(
        **kafka.options(),
        enable_auto_commit=False,
        # One record of a partition is enough: the oldest.
        max_partition_fetch_bytes=64 * 1024,
    )
    try:
        async with asyncio.timeout(_ASKING_TIMEOUT):
            try:
                await consumer.start()
                partitions = await _partitions(kafka, topics.events)
                beginnings = await consumer.beginning_offsets(partitions)
                ends = await consumer.end_offsets(partitions)
                lags = {}
                for name in READ_MODELS:
                    group = topics.group(f"projector.{name}")
                    committed = await _committed(kafka, group, partitions)
                    # What retention has deleted can't be applied from the topic any more.
                    places = {
                        partition: max(beginning, committed[partition].offset)
                        if partition in committed
                        else beginning
                        for partition, beginning in beginnings.items()
                    }
                    lags[name] = await _lag(consumer, places, ends)
                return lags
            finally:
                await consumer.stop()
    except (InvalidAttribute, Undecodable) as error:
        raise TillError(
            f"A record of {topics.events} is no event of ours: {error}.",
            "Only the outbox relay may write this topic: see Kafka's ACLs.",
        ) from error
    except (KafkaError, TimeoutError, OSError) as error:
        raise NotUpError(f"Kafka at {kafka.bootstrap_servers} does not answer: {error!r}.") from error


async def _committed(
    kafka: KafkaConnection, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Committed]:
    """Return the group's committed offsets; a new cluster needs some tries until it can tell them."""
    while True:
        try:
            return await committed_offsets(kafka, group, partitions)
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(_RETRY_SECONDS)


async def _partitions(kafka: KafkaConnection, topic: str) -> list[TopicPartition]:
    """Return the topic's partitions. Raises TillError when there is no such topic."""
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:
        # Of all topics: to ask for one by name can make it, where the cluster makes topics by itself.
        found = [each for each in await admin.describe_topics() if each["topic"] == topic]
    finally:
        await admin.close()
    if not found:
        raise TillError(f"Kafka has no topic {topic}.", "`till up --detach` makes it.")
    return [TopicPartition(topic, partition["partition"]) for partition in found[0]["partitions"]]


async def _lag(
    consumer: AIOKafkaConsumer, places: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> Lag:
    behind = {partition: place for partition, place in places.items() if place < ends[partition]}
    if not behind:
        return Lag(0, 0.0)
    oldest = min(await _recorded_times(consumer, behind))
    records = sum(ends[partition] - place for partition, place in behind.items())
    return Lag(records, round(max(0.0, (datetime.now(UTC) - oldest).total_seconds()), 3))


async def _recorded_times(consumer: AIOKafkaConsumer, places: Mapping[TopicPartition, int]) -> list[datetime]:
    """Return when the event at each of these places was recorded."""
    missing = set(places)
    consumer.assign(list(places))
    for partition, place in places.items():
        consumer.seek(partition, place)
    found = []
    # Ends with the caller's deadline: below the end of a partition there is a record.
    while missing:
        for partition, records in (await consumer.getmany(*missing, timeout_ms=1000)).items():
            found.append(decode_event(records[0]).recorded_at)
            missing.discard(partition)
    return found
