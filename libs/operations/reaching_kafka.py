"""What Kafka's faults, and what nobody should have put there, mean to an operator."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from messaging import EventMessage, InvalidAttribute, KafkaConnection, Undecodable, decode_event
from operations.errors import NotFound, OperationRefused, Unreachable


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


def event_in(record: ConsumerRecord[bytes, bytes], type_prefix: str) -> EventMessage:
    """Return the event that a record is. Raises OperationRefused for one that no relay of ours wrote."""
    try:
        return decode_event(record, type_prefix)
    except (InvalidAttribute, Undecodable) as error:
        raise OperationRefused(
            "no_event_of_ours", f"A record of {record.topic} is no event of ours: {error}."
        ) from error
