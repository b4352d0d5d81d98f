"""FastStream's part in a consumer: it hands over raw batches and commits nothing by itself."""

import logging
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage

from messaging.connection import ISOLATION_LEVEL, KafkaConnection
from runtime import Settings

# FastStream's own logger writes past our JSON; its warnings only say that it makes no topics.
_faststream_log = logging.getLogger(f"{__name__}.faststream")
_faststream_log.setLevel(logging.ERROR)

SESSION_TIMEOUT_MS = 10_000
METADATA_MAX_AGE_MS = 10_000
SHUTDOWN_WAIT = 15.0


def raw_batches(
    settings: Settings, topic: str, group: str, *, listener: ConsumerRebalanceListener
) -> tuple[FastStream, Any]:
    """Return an application with one subscriber, to be called with what handles a tuple of records."""
    kafka = KafkaConnection.of(settings)
    broker = KafkaBroker(
        kafka.bootstrap_servers.split(","),
        security=kafka.security(),
        # What Kafka's own tools show an operator.
        client_id=group,
        logger=_faststream_log,
        apply_types=False,
        consumer_only=True,
        # How soon a partition that was added is noticed, and the group shares it out: aiokafka's default is
        # five minutes.
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
        graceful_timeout=SHUTDOWN_WAIT,
    )

    # FastStream's own parser decodes every header and body; raw records are some six times as fast, and a
    # record that can't be decoded then fails in our handler, where it can be dead-lettered.
    async def parse(records: tuple[ConsumerRecord[bytes, bytes], ...]) -> KafkaAckableMessage:
        return KafkaAckableMessage(
            raw_message=records, body=b"", consumer=subscriber.consumer, message_id="-", correlation_id="-"
        )

    async def decode(message: KafkaAckableMessage) -> Any:  # noqa: ANN401 - the records as they came
        return message.raw_message

    subscriber = broker.subscriber(
        topic,
        batch=True,
        group_id=group,
        listener=listener,
        ack_policy=AckPolicy.MANUAL,
        auto_offset_reset="earliest",
        isolation_level=ISOLATION_LEVEL,
        parser=parse,
        decoder=decode,
        no_reply=True,
        max_records=settings.batch_records,
        # How long a wait for records lasts that nothing ends: records do at once.
        batch_timeout_ms=500,
        fetch_max_wait_ms=500,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=1_000,
        rebalance_timeout_ms=30_000,
    )
    return FastStream(broker, logger=_faststream_log), subscriber
