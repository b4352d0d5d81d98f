"""Consumer groups as an operator meets them: their members, and the offsets they go on from."""

import asyncio
import time
from collections.abc import Collection

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from messaging import Committed, KafkaConnection, committed_offsets, group_members
from operations.errors import Unreachable

# A paused projector leaves within two seconds; one that was killed stays a member for its session's ten.
LEAVE_DEADLINE = 15.0
_LOOK_INTERVAL = 0.2


async def wait_until_left(kafka: KafkaConnection, group: str, *, deadline: float = LEAVE_DEADLINE) -> bool:
    """Wait until the group has no members, within `deadline` seconds; tell whether it has none.

    Raises Unreachable when Kafka doesn't answer, or does not let us look.
    """
    end = time.monotonic() + deadline
    while True:
        try:
            if not await group_members(kafka, group):
                return True
        except (KafkaError, OSError) as error:
            if not getattr(error, "retriable", False) or time.monotonic() > end:
                raise Unreachable(f"Kafka does not say who is in the group {group}: {error!r}.") from error
        if time.monotonic() > end:
            return False
        await asyncio.sleep(_LOOK_INTERVAL)


async def wait_for_committed(
    kafka: KafkaConnection, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Committed]:
    """Return the group's committed offsets as `committed_offsets` does, however often it must be asked.

    A new cluster needs some tries until it can tell. Ends with the caller's deadline; raises KafkaError.
    """
    while True:
        try:
            return await committed_offsets(kafka, group, partitions)
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(_LOOK_INTERVAL)
