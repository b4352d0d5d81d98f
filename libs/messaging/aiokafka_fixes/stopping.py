"""Stopping aiokafka's consumers, whatever state they are in."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer

log = structlog.get_logger(__name__)

STOP_TIMEOUT = 5.0


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, started or not, and close its connections, within twice STOP_TIMEOUT seconds.

    aiokafka's own `stop` waits for the fetches that it cancels, so it can hang, or end as if we were
    cancelled ourselves, and then leaves its connections open.
    """
    if await _done(consumer.stop()):
        return
    log.info("kafka.consumer_dropped")
    await _done(consumer._client.close())  # noqa: SLF001 - what `stop` would have done last


async def _done(work: Coroutine[Any, Any, None]) -> bool:
    task = asyncio.create_task(work)
    await asyncio.wait({task}, timeout=STOP_TIMEOUT)
    if not task.done():
        task.cancel()
        return False
    return not task.cancelled() and task.exception() is None
