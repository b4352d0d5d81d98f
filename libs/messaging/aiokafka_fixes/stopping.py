"""Stopping aiokafka's consumers and producers, whatever state they are in."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

log = structlog.get_logger(__name__)

STOP_TIMEOUT = 5.0
DROP_TIMEOUT = 2.0


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, started or not, and close its connections, within twice STOP_TIMEOUT seconds.

    aiokafka's own `stop` waits for the fetches that it cancels, so it can hang, or end as if we were
    cancelled ourselves, and then leaves its connections open.
    """
    if await _done(consumer.stop()):
        return
    log.info("kafka.consumer_dropped")
    await _done(consumer._client.close())  # noqa: SLF001 - what `stop` would have done last


async def drop_producer(producer: AIOKafkaProducer) -> None:
    """Close a producer's connections without sending what it still holds, within twice DROP_TIMEOUT seconds.

    aiokafka's own `stop` would flush first, and can wait for ever (aiokafka#1101).
    """
    producer._closed = True  # noqa: SLF001 - there is no public way
    sending = producer._sender.sender_task  # noqa: SLF001 - as above
    if sending is not None:
        sending.cancel()
    try:
        async with asyncio.timeout(DROP_TIMEOUT):
            await producer.client.close()
    except TimeoutError:
        log.warning("producer.drop_timed_out", seconds=DROP_TIMEOUT)
    if sending is not None:
        await asyncio.wait({sending}, timeout=DROP_TIMEOUT)


async def _done(work: Coroutine[Any, Any, None]) -> bool:
    task = asyncio.create_task(work)
    await asyncio.wait({task}, timeout=STOP_TIMEOUT)
    if not task.done():
        task.cancel()
        return False
    return not task.cancelled() and task.exception() is None
