"""What Kafka's faults mean to an operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from messaging import KafkaConnection
from operations.errors import NotFound, Unreachable


@contextmanager
def reaching_kafka(kafka: KafkaConnection) -> Iterator[None]:
    """Raise what keeps Kafka from serving the body: NotFound for a missing topic, else Unreachable.

    A timeout is taken for Kafka's.
    """
    try:
        yield
    except UnknownTopicOrPartitionError as error:
        raise NotFound("no_topic", f"Kafka has no topic {' '.join(map(str, error.args))}.") from error
    except (KafkaError, TimeoutError, OSError) as error:
        raise Unreachable(f"Kafka at {kafka.bootstrap_servers} does not answer: {error!r}.") from error
