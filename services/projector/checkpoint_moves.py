"""The moves of the checkpoints over a batch, which must begin where they stand."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import structlog
from aiokafka import ConsumerRecord, TopicPartition

from messaging import Fenced
from readmodels.checkpoints import Move

log = structlog.get_logger(__name__)

IsWithoutRecords: TypeAlias = Callable[[TopicPartition, int, int], Awaitable[bool]]
"""Asks Kafka whether a partition has nothing to read from an offset up to, not including, another."""


class Held(NamedTuple):
    """A partition's checkpoint, as its holder of this epoch has left it."""

    epoch: int
    next_offset: int


async def moves_over(
    batch: Mapping[TopicPartition, Sequence[ConsumerRecord[bytes, bytes]]],
    held: Mapping[TopicPartition, Held],
    acknowledged: Mapping[TopicPartition, int],
    is_without_records: IsWithoutRecords,
) -> list[Move]:
    """Return the moves from the checkpoints as they are held, in the order of the partitions.

    A batch that begins beyond its checkpoint would lose what lies between, and one that begins before it
    would move it back. Raises Fenced for those and for a partition that isn't held: to join anew, and go on
    from the checkpoint, mends each.
    """
    moves = []
    for topic_partition, records in batch.items():
        place = held.get(topic_partition)
        if place is None:
            raise Fenced
        begins = records[0].offset
        # The marks of senders' transactions, and what they took back, are offsets without records.
        if begins != place.next_offset and not (
            begins > place.next_offset
            and await is_without_records(topic_partition, place.next_offset, begins)
        ):
            log.error(
                "projector.batch_out_of_place",
                partition=topic_partition.partition,
                begins=begins,
                checkpoint=place.next_offset,
            )
            raise Fenced
        moves.append(
            Move(
                topic_partition.partition,
                place.epoch,
                place.next_offset,
                records[-1].offset + 1,
                acknowledged.get(topic_partition),
            )
        )
    return sorted(moves)
