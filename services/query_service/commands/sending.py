"""Sends commands with one producer, which is replaced when a send has failed."""

import asyncio

import structlog
from prometheus_client import Counter

from messaging import KafkaConnection, Message, Producer

log = structlog.get_logger(__name__)

# Of a whole send, the wait for a producer included: while Kafka hangs, those who wait for the one that is
# being started fail with it, and not one after another. As long as a producer tries by itself.
SEND_TIMEOUT = 15.0

SENT = Counter("tillstream_http_commands_sent", "Commands put on Kafka for clients of the HTTP API.")
FAILED = Counter("tillstream_http_commands_not_sent", "Commands whose send to Kafka failed.")


class NotSent(Exception):
    """Kafka has not acknowledged a message: it may be on the topic, or not."""


class Sender:
    """Holds the producer."""

    def __init__(self, kafka: KafkaConnection, partitioner: str) -> None:
        self._kafka, self._partitioner = kafka, partitioner
        self._producer: Producer | None = None
        self._starting = asyncio.Lock()
        # The bounds of the sends that the producer has under way.
        self._under_way: set[asyncio.Timeout] = set()

    async def send(self, message: Message) -> None:
        """Return when Kafka has the message safe. Raises NotSent, within a bound."""
        producer: Producer | None = None
        try:
            async with asyncio.timeout(SEND_TIMEOUT) as bound:
                producer = await self._started()
                self._under_way.add(bound)
                try:
                    await producer.send([message])
                finally:
                    self._under_way.discard(bound)
        except Exception as error:
            FAILED.inc()
            log.warning("commands.not_sent", error=repr(error))
            if producer is not None:
                await self._drop(producer)
            raise NotSent from error
        SENT.inc()

    async def _started(self) -> Producer:
        # Of those who come while there is none, the first one makes it.
        async with self._starting:
            if self._producer is None:
                producer = Producer(self._kafka, self._partitioner)
                try:
                    await producer.start()
                except BaseException:
                    await producer.drop()
                    raise
                self._producer = producer
            return self._producer

    async def _drop(self, producer: Producer) -> None:
        """Replace a producer whose send failed; others may have done so already."""
        if self._producer is not producer:
            return
        self._producer = None
        # With its connections go the answers to all else that it was given: who waits is told at once.
        now = asyncio.get_running_loop().time()
        for bound in self._under_way:
            if not bound.expired():
                bound.reschedule(now)
        await producer.drop()

    async def close(self) -> None:
        """Close the connections; what is not acknowledged yet is given up."""
        if self._producer is not None:
            await self._drop(self._producer)
