"""The topic of events as it grows, for a person who looks on."""

from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord

from commands import ORDERS
from eventstore import NewerSchema
from messaging import EventMessage, KafkaConnection, RecordsGone, TopicMadeAnew, TopicTail, Vector
from operations.reaching_kafka import event_in, reaching_kafka
from queries import BEGINNING, EventFilter, Start
from queries.answers import message_row
from runtime import Settings
from till.errors import TillError


class Followed(NamedTuple):
    """One event, and the place behind it; the first place comes without one."""

    place: str
    record: ConsumerRecord[bytes, bytes] | None
    message: EventMessage | None


async def follow(where: Settings, wanted: EventFilter, start: Start) -> AsyncGenerator[Followed, None]:
    """Yield what is wanted from `start` on: a place, BEGINNING, or None for now. Never ends by itself.

    Raises Unreachable when Kafka doesn't answer at first (later it is waited for), NotFound without the
    topic, TillError for a place that can't be gone on from, OperationRefused for a record that is no event.
    """
    kafka, topic = KafkaConnection.of(where), ORDERS.topics(where.topic_prefix).events
    first = start.positions if isinstance(start, Vector) else {} if start == BEGINNING else None
    test = wanted.test(ORDERS.type_prefix)
    try:
        with reaching_kafka(kafka):
            async with TopicTail.open(kafka, topic, first) as tail:
                _check(start, tail)
                positions = dict(tail.positions)
                yield Followed(str(Vector.of(tail.topic_id, positions)), None, None)
                while True:
                    page = await tail.next_page()
                    # A partition that was added has a place before its first record.
                    positions = dict.fromkeys(tail.positions, 0) | positions
                    for record in page:
                        positions[record.partition] = record.offset + 1
                        message = event_in(record, ORDERS.type_prefix)
                        if test.holds(dict(record.headers)):
                            yield Followed(str(Vector.of(tail.topic_id, positions)), record, message)
    except (RecordsGone, TopicMadeAnew) as error:
        raise TillError(
            f"Nothing can be followed from there: {error}.",
            "Leave --from out to follow from now on, or use --from beginning.",
        ) from error


def _check(start: Start, tail: TopicTail) -> None:
    if isinstance(start, Vector) and start.topic_id != tail.topic_id:
        raise TopicMadeAnew("the topic was deleted and made anew")


def told(message: EventMessage) -> dict[str, Any]:
    """Return an event as `message_row` does. Raises TillError for one that only a newer build can read."""
    try:
        return message_row(message)
    except NewerSchema as error:
        raise TillError(f"{error}.", "Use the till of the build that wrote it.") from error
