"""Committed offsets with their metadata, which tells our own commits from an operator's reset."""

from collections.abc import Collection
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from messaging.connection import KafkaConnection
from messaging.refusals import telling_refusals

MARKER = "tillstream"
"""The metadata of every offset we commit: a reset by any Kafka tool leaves it empty."""


class Committed(NamedTuple):
    """The offset a group goes on from; `ours` tells whether one of our processes committed it."""

    offset: int
    ours: bool


async def committed_offsets(
    kafka: KafkaConnection, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Committed]:
    """Return the group's committed offsets of these partitions; one without an offset is absent.

    The consumer's own `committed()` hides the metadata, so they are asked of an admin client. Raises a
    retriable KafkaError when the answer is incomplete: aiokafka passes over an error that concerns the whole
    group (its coordinator is just moving), and taken for "no offset" that would undo an operator's reset.
    """
    admin = AIOKafkaAdminClient(**kafka.options())
    async with telling_refusals(kafka):
        await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group, partitions=list(partitions))
    finally:
        await admin.close()
    if missing := set(partitions) - offsets.keys():
        raise GroupCoordinatorNotAvailableError(
            f"no answer for the offsets of {group} on {len(missing)} partitions"
        )
    return {
        partition: Committed(found.offset, found.metadata == MARKER)
        for partition, found in offsets.items()
        if found.offset >= 0
    }
