"""What Kafka knows of a consumer group: its members, and its committed offsets, ours told from a reset's."""

from collections.abc import Collection
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError, for_code

from messaging.connection import KafkaConnection
from messaging.refusals import admin_client

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
    async with admin_client(kafka) as admin:
        offsets = await admin.list_consumer_group_offsets(group, partitions=list(partitions))
    if missing := set(partitions) - offsets.keys():
        raise GroupCoordinatorNotAvailableError(
            f"no answer for the offsets of {group} on {len(missing)} partitions"
        )
    return {
        partition: Committed(found.offset, found.metadata == MARKER)
        for partition, found in offsets.items()
        if found.offset >= 0
    }


async def group_members(kafka: KafkaConnection, group: str) -> list[str]:
    """Return the client ids of the group's members; none for a group that isn't there.

    Raises KafkaError, such as for a group that we may not describe.
    """
    async with admin_client(kafka) as admin:
        (response,) = await admin.describe_consumer_groups([group])
    error_code, _, _, _, _, members, *_ = response.groups[0]
    if error_code:
        raise for_code(error_code)(f"the group {group} can't be described")
    return [member[1] for member in members]
