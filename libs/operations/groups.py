"""Waiting for a consumer group's members to leave it."""

from __future__ import annotations

import asyncio
import time

from aiokafka.errors import KafkaError

from messaging import KafkaConnection, group_members
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
