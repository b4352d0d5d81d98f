"""A producer that many callers send single messages with: what is in hand together goes out together."""

import time

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed

from messaging.aiokafka_fixes.stopping import drop_producer
from messaging.connection import KafkaConnection
from messaging.partitioning import partition_of
from messaging.producer import BATCH_BYTES, REQUEST_TIMEOUT_MS, Message
from messaging.refusals import telling_refusals


class SharedProducer:
    """Sends each message to the partition that its key names, by the partitioner named.

    For messages that may be there twice, such as commands, whose ids make repeats one. It is not idempotent
    in Kafka's sense: such a producer never gives a batch up, and has to be replaced, with all that it holds,
    once one was (aiokafka#1017). Here the messages of a partition that is lost fail alone.
    """

    def __init__(self, kafka: KafkaConnection, partitioner: str) -> None:
        self._kafka = kafka
        self._partitioner = partitioner
        self._producer = AIOKafkaProducer(
            **kafka.options(),
            acks="all",
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        self.acknowledged_at = 0.0
        """When Kafka last acknowledged a message, by the monotonic clock."""

    @property
    def ended(self) -> bool:
        """Whether it will not send any more: aiokafka's sender has died, or it was dropped."""
        sending = self._producer._sender.sender_task  # noqa: SLF001 - told nowhere else
        return bool(self._producer._closed) or sending is None or sending.done()  # noqa: SLF001 - as above

    async def start(self) -> None:
        """Connect; raises KafkaError when no broker answers, KafkaRefused when one turns us away."""
        async with telling_refusals(self._kafka):
            await self._producer.start()

    async def send(self, message: Message) -> None:
        """Send a message with whatever else waits for its partition, and return when it is acknowledged.

        Waits for the topic's leaders, for room in the batch and for the answer, up to 10 seconds each. Raises
        KafkaError: it may be on the topic then.
        """
        producer = self._producer
        count = len(await producer.partitions_for(message.topic))
        key = message.key or b""
        acknowledged = await producer.send(
            message.topic,
            message.value,
            message.key,
            partition_of(key, count, self._partitioner),
            headers=message.headers,
        )
        await acknowledged
        self.acknowledged_at = time.monotonic()

    async def drop(self) -> None:
        """Close the connections; what waits for an acknowledgement fails at once, with ProducerClosed."""
        # aiokafka leaves who waits for it waiting.
        self._producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001 - no public way
        await drop_producer(self._producer)
