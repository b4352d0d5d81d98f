"""Sends commands with one producer, which is replaced when it has ended, or nothing comes through it."""

import asyncio
import time

import structlog
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from messaging import KafkaConnection, Message, SharedProducer

log = structlog.get_logger(__name__)

# Of a whole send, the wait for a producer included.
SEND_TIMEOUT = 15.0

SENT = Counter("tillstream_http_commands_sent", "Commands put on Kafka for clients of the HTTP API.")
FAILED = Counter("tillstream_http_commands_not_sent", "Commands whose send to Kafka failed.")


class NotSent(Exception):
    """Kafka has not acknowledged a message: it may be on the topic, or not."""


class Sender:
    """Holds the producer."""

    def __init__(self, kafka: KafkaConnection, partitioner: str) -> None:
        self._kafka, self._partitioner = kafka, partitioner
        self._producer: SharedProducer | None = None
        self._starting: asyncio.Task[SharedProducer] | None = None
        self._dropping: set[asyncio.Task[None]] = set()

    async def send(self, message: Message) -> None:
        """Return when Kafka has the message safe. Raises NotSent, within a bound."""
        began = time.monotonic()
        producer: SharedProducer | None = None
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                sent = False
                while not sent:
                    producer = await self._started()
                    sent = await _sent_by(producer, message)
        except Exception as error:
            FAILED.inc()
            log.warning("commands.not_sent", error=repr(error))
            # A producer gives messages up before this, unless it hangs. Else it is this message's fault, or
            # its partition's, and none of the others'.
            if isinstance(error, TimeoutError) and producer is not None and producer.acknowledged_at < began:
                self._replace(producer)
            raise NotSent from error
        SENT.inc()

    async def _started(self) -> SharedProducer:
        if self._producer is not None and self._producer.ended:
            self._replace(self._producer)
        if self._producer is not None:
            return self._producer
        # Of those who come while there is none, the first one has it made, and nobody's end ends that.
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        return await asyncio.shield(self._starting)

    async def _start(self) -> SharedProducer:
        try:
            producer = SharedProducer(self._kafka, self._partitioner)
            try:
                async with asyncio.timeout(SEND_TIMEOUT):
                    await producer.start()
            except BaseException:
                await producer.drop()
                raise
            self._producer = producer
            return producer
        finally:
            self._starting = None

    def _replace(self, producer: SharedProducer) -> None:
        """Have the next send make a new producer; what this one holds goes out by that one, too."""
        if self._producer is producer:
            self._producer = None
            dropping = asyncio.create_task(producer.drop())
            self._dropping.add(dropping)
            dropping.add_done_callback(self._dropping.discard)

    async def close(self) -> None:
        """Close the connections; what is not acknowledged yet is given up."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting})
        if self._producer is not None:
            self._replace(self._producer)
        if self._dropping:
            await asyncio.wait(self._dropping)


async def _sent_by(producer: SharedProducer, message: Message) -> bool:
    """Tell whether the message went out; it did not, as far as is known, where the producer has ended."""
    try:
        await producer.send(message)
    except KafkaError:
        if producer.ended:
            return False
        raise
    return True
