"""What a service that writes looks at before it starts: records on the topics, against a database."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from commands import ORDERS
from eventstore import Append, Batch, NewEvent, StreamKey
from harness.tallies import TALLIES
from messaging import KafkaConnection, Topics, ensure_topics
from operations import TopicAhead, check_database_has_topics, check_logs_have_topics
from operations.start_check import LOOKED_AT
from outbox_relay.relay import ROWS

Headers = Sequence[tuple[str, bytes | None]]
TENANT = b"store-1"


class Place:
    """Topics to write to, and a database without orders to compare them with."""

    def __init__(
        self, kafka: KafkaConnection, topics: Topics, producer: AIOKafkaProducer, conn: asyncpg.Connection
    ) -> None:
        self.topics = topics
        self.kafka, self._producer, self.conn = kafka, producer, conn

    async def send(self, topic: str, headers: Headers, value: bytes = b"{}") -> None:
        await self._producer.send_and_wait(topic, value, headers=headers)

    async def check(self) -> None:
        await check_database_has_topics(self.conn, self.kafka, self.topics.prefix, ORDERS)

    async def check_all(self) -> None:
        await check_logs_have_topics(self.conn, self.kafka, self.topics.prefix, [ORDERS, TALLIES])


@pytest.fixture
async def place(kafka_server: Any, topic_prefix: str, database: Any) -> AsyncIterator[Place]:
    """Give empty topics and an empty database."""
    kafka, topics = KafkaConnection(kafka_server.bootstrap_servers), ORDERS.topics(topic_prefix)
    await ensure_topics(kafka, topics, partitions=1)
    conn = await asyncpg.connect(database.dsn("command_service"))
    try:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
            yield Place(kafka, topics, producer, conn)
    finally:
        await conn.close()


def new_id() -> bytes:
    return str(uuid4()).encode()


def event(**changed: bytes | None) -> Headers:
    attributes = {"tenantid": TENANT, "subject": new_id(), "version": b"1", "id": new_id(), **changed}
    return [(f"ce_{name}", value) for name, value in attributes.items()]


def outcome(**changed: bytes | None) -> Headers:
    attributes = {"tenantid": TENANT, "causationid": new_id(), **changed}
    return [(f"ce_{name}", value) for name, value in attributes.items()]


FOREIGN: list[dict[str, Any]] = [
    {"version": b"9" * 20},
    {"version": b"0"},
    {"tenantid": b"store\0"},
    {"tenantid": None},
    {"tenantid": b"\xff"},
    {"id": b"none"},
]


async def test_what_is_no_event_keeps_nobody_from_starting(place: Place) -> None:
    """A record that can't be one of ours is passed over, whatever its headers are; one that can is told."""
    for changed in FOREIGN:
        await place.send(place.topics.events, event(**changed))
    await place.check()
    await place.send(place.topics.events, event())
    with pytest.raises(TopicAhead, match="that the log lacks"):
        await place.check()


async def test_an_outcome_alone_tells_of_a_restore(place: Place) -> None:
    """A refusal leaves no event: its outcome on the topic is what the database must have."""
    for headers, value in [
        (outcome(tenantid=None), b"{}"),
        (outcome(causationid=b"none"), b"{}"),
        (outcome(), b"no JSON"),
        (outcome(), b"[]"),
        (outcome(), b'{"code":"command_id_reused","message":""}'),
    ]:
        await place.send(place.topics.outcomes, headers, value)
    await place.check()
    await place.send(place.topics.outcomes, outcome(), b'{"code":"order_not_found","message":""}')
    with pytest.raises(TopicAhead, match="is the outcome of the command"):
        await place.check()


async def test_each_context_is_compared_with_its_own_log(place: Place, database: Any) -> None:
    """What one context's topic holds is looked for in its own tables, and told by its own name."""
    admin = await asyncpg.connect(database.dsn())
    await admin.execute("SELECT make_event_tables('tally')")
    await admin.close()
    await ensure_topics(place.kafka, TALLIES.topics(place.topics.prefix), partitions=1)
    key, stored = StreamKey(TENANT.decode(), uuid4()), uuid4()
    events = [NewEvent(stored, "Added", 2, '{"amount": 1}', "{}", datetime(2026, 3, 1, tzinfo=UTC))]
    await TALLIES.store.append(
        place.conn, Batch(appends=[Append(key, 0, events, datetime(2026, 3, 1, tzinfo=UTC))])
    )
    topic, subject = TALLIES.topics(place.topics.prefix).events, str(key.aggregate_id).encode()
    await place.send(topic, event(subject=subject, id=str(stored).encode()))
    await place.check_all()
    await place.send(topic, event(subject=subject, version=b"2"))
    with pytest.raises(TopicAhead, match=f"is version 2 of tally {key.aggregate_id} of .*the log lacks"):
        await place.check_all()
    # The orders' own service is not kept from starting.
    await place.check()


def test_more_is_looked_at_than_a_relay_sends_again() -> None:
    """A relay that died in mid-send sends all it had read once more: what was lost lies before that."""
    assert LOOKED_AT > ROWS
