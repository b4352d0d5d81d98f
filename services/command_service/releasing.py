"""Judges anew what an operator has released, from where it lies on the topic of commands."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from aiokafka import TopicPartition

from command_service.handler import CommandHandler
from commands import Record, SetAside
from messaging import KafkaConnection, read_again

log = structlog.get_logger(__name__)

LOOK_INTERVAL = 1.0


async def keep_releasing(handler: CommandHandler[Any], kafka: KafkaConnection, topic: str) -> None:
    """Look at what is held back again and again, and at what is released of it, until cancelled."""
    while True:
        try:
            while released := await handler.look():
                if not await handler.judge_anew(released, await _read(kafka, topic, released)):
                    break
        except Exception as error:  # noqa: BLE001 - the batches go on, and it is tried again
            log.warning("commands.not_released", topic=topic, error=repr(error))
        await asyncio.sleep(LOOK_INTERVAL)


async def _read(kafka: KafkaConnection, topic: str, released: Sequence[SetAside]) -> list[Record]:
    """Read what is released once more, in the order it came in each partition."""
    records: list[Record] = []
    for number in dict.fromkeys(each.partition for each in released):
        wanted = {each.offset for each in released if each.partition == number}

        def see(record: Record, wanted: set[int] = wanted) -> None:
            if record.offset in wanted:
                records.append(record)

        await read_again(kafka, TopicPartition(topic, number), min(wanted), max(wanted) + 1, see)
    found = {(record.partition, record.offset) for record in records}
    if gone := [each for each in released if (each.partition, each.offset) not in found]:
        # Only Kafka's retention can have taken them.
        log.error(
            "commands.set_aside_gone",
            topic=topic,
            records=[f"{each.partition}/{each.offset}" for each in gone],
        )
    return records
