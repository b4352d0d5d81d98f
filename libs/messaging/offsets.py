"""Committed offsets with their metadata, which tells our own commits from an operator's reset."""

from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from messaging.connection import KafkaConnection

MARKER = "tillstream"
"""The metadata of every offset we commit: a reset by any Kafka tool leaves it empty."""


class Committed(NamedTuple):
    """The offset a group goes on from; `ours` tells whether one of our processes committed it."""

    offset: int
    ours: bool


async def committed_offsets(kafka: KafkaConnection, group: str) -> dict[TopicPartition, Committed]:
    """Return the group's committed offsets; a partition without one is absent.

    The consumer's own `committed()` hides the metadata, so they are asked of an admin client.
    """
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return {
        partition: Committed(found.offset, found.metadata == MARKER)
        for partition, found in offsets.items()
        if found.offset >= 0
    }
