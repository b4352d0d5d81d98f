"""The relay on a real outbox and a real Kafka."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer

from commands import ORDERS
from eventstore import SENDERS_LOCK, decode_headers, encode_headers, shard_of
from harness.waiting import eventually
from messaging import KafkaConnection, Message, Producer, Unrecoverable, ensure_topics
from outbox_relay.floor import Floor
from outbox_relay.relay import Relay
from outbox_relay.shards import Shards
from runtime import EXIT_FATAL, Database, Health, Settings

INSERT = "INSERT INTO outbox (topic, key, headers, value, shard) VALUES ($1, $2, $3, $4, $5)"


class Outbox:
    """An outbox to fill, and what came of it on the topic."""

    def __init__(self, settings: Settings, connection: asyncpg.Connection, topic: str) -> None:
        self.settings = settings
        self.connection = connection
        self.topic = topic
        self.running: list[tuple[asyncio.Event, asyncio.Task[int]]] = []

    async def add(self, key: str, value: str, connection: asyncpg.Connection | None = None) -> None:
        row = (self.topic, key.encode(), encode_headers([("n", value.encode())]), value.encode())
        await (connection or self.connection).execute(INSERT, *row, shard_of(key.encode()))

    def start(
        self, new_producer: Any = Producer, reconnected: Any = None, **settings: Any
    ) -> tuple[asyncio.Event, asyncio.Task[int], Shards]:
        """Start a relay in this process; give what stops it, its task and the shards it holds."""
        stop, shards = asyncio.Event(), Shards()
        own = self.settings.model_copy(update=settings)
        database = Database(own.database_url, "test")
        relay = Relay(own, database, shards, new_producer, Health(), floor=Floor(), reconnected=reconnected)
        task = asyncio.create_task(relay.run(stop))
        self.running.append((stop, task))
        return stop, task, shards

    async def count(self) -> int:
        return int(await self.connection.fetchval("SELECT count(*) FROM outbox"))

    async def emptied(self) -> None:
        async def empty() -> bool:
            return await self.count() == 0

        await eventually(empty)

    async def published(self) -> list[tuple[str, str]]:
        """Give key and value of all records, in order within each key."""
        consumer = AIOKafkaConsumer(
            self.topic,
            bootstrap_servers=self.settings.kafka_bootstrap_servers,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            ends = await consumer.end_offsets(consumer.assignment())
            left = sum(ends.values())
            records: list[tuple[str, str]] = []
            while left:
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    records.extend((record.key.decode(), record.value.decode()) for record in batch)
                    left -= len(batch)
            return records
        finally:
            await consumer.stop()


@pytest.fixture
async def outbox(kafka_server: Any, topic_prefix: str, database: Any) -> AsyncIterator[Outbox]:
    """Give an empty outbox and its topic."""
    topics = ORDERS.topics(topic_prefix)
    await ensure_topics(KafkaConnection(kafka_server.bootstrap_servers), topics, partitions=3)
    settings = Settings(
        kafka_bootstrap_servers=kafka_server.bootstrap_servers,
        database_url=database.dsn("outbox_relay"),
        topic_prefix=topic_prefix,
        retry_budget=60,
    )
    connection = await asyncpg.connect(database.dsn())
    made = Outbox(settings, connection, topics.events)
    try:
        yield made
    finally:
        for stop, task in made.running:
            stop.set()
            await asyncio.wait({task}, timeout=20)
        await connection.close()


def by_key(records: list[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in records:
        found.setdefault(key, []).append(value)
    return found


async def test_large_messages_are_sent_a_few_at_a_time(outbox: Outbox) -> None:
    """However large the waiting messages are, one send takes about 16 MiB of them, in order."""
    sent: list[list[int]] = []

    class Measuring(Producer):
        async def send(self, messages: Sequence[Message]) -> None:
            sent.append([len(message.value or b"") for message in messages])
            await super().send(messages)

    for number in range(40):
        await outbox.add(f"order-{number % 7}", f"{number:03}")
    await outbox.connection.execute("UPDATE outbox SET value = value || repeat('x', 1000000)::bytea")
    outbox.start(Measuring)
    await outbox.emptied()
    assert [len(sizes) for sizes in sent] == [17, 17, 6]
    assert all(
        values == sorted(values) and len(values) >= 5
        for values in by_key([(key, value[:3]) for key, value in await outbox.published()]).values()
    )


async def test_messages_leave_in_order_and_rows_are_gone(outbox: Outbox) -> None:
    """Each key's messages reach the topic in id order, once, and the outbox is empty after it."""
    for number in range(300):
        await outbox.add(f"order-{number % 7}", f"{number:03}")
    stop, task, _ = outbox.start()
    await outbox.emptied()
    stop.set()
    assert await task == 0
    records = by_key(await outbox.published())
    assert sum(map(len, records.values())) == 300
    assert all(values == sorted(values) for values in records.values())


async def test_a_late_commit_is_not_skipped(outbox: Outbox, database: Any) -> None:
    """A row with a lower id that commits after higher ones were sent is sent all the same."""
    late = await asyncpg.connect(database.dsn())
    try:
        transaction = late.transaction()
        await transaction.start()
        await outbox.add("order-1", "late", late)
        await outbox.add("order-2", "early")
        outbox.start()
        await outbox.emptied()
        assert await outbox.published() == [("order-2", "early")]
        await transaction.commit()
        await outbox.emptied()
    finally:
        await late.close()
    assert sorted(await outbox.published()) == [("order-1", "late"), ("order-2", "early")]


async def all_held(shards: Shards) -> None:
    async def held() -> bool:
        return len(shards.held) == 16

    await eventually(held)


async def test_a_second_relay_stands_by_and_takes_over(outbox: Outbox) -> None:
    """Only the holder of the locks sends; when it stops, the one that stood by goes on."""
    stop, task, first = outbox.start()
    await all_held(first)
    _, _, second = outbox.start()
    await outbox.add("order-1", "one")
    await outbox.emptied()
    assert second.held == []
    stop.set()
    assert await task == 0
    await all_held(second)
    await outbox.add("order-1", "two")
    await outbox.emptied()
    assert await outbox.published() == [("order-1", "one"), ("order-1", "two")]


async def test_a_relay_that_lost_its_session_sends_nothing_without_locks(
    outbox: Outbox, database: Any
) -> None:
    """A relay whose session was killed comes back without its locks, and then sends nothing."""
    _, _, shards = outbox.start()
    await all_held(shards)
    before = shards.session
    rival = await asyncpg.connect(database.dsn())
    try:
        # It waits for each lock, so that it has them all the moment the relay loses them.
        taking = asyncio.create_task(
            rival.execute(
                "SELECT pg_advisory_lock($1, shard) FROM generate_series(0, 15) AS shard", SENDERS_LOCK
            )
        )

        async def waits() -> bool:
            query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            return bool(await outbox.connection.fetchval(query))

        await eventually(waits)
        await outbox.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = $1 AND application_name = 'test'",
            database.name,
        )
        await outbox.add("order-1", "one")
        await taking

        async def came_back() -> bool:
            return shards.session != before

        await eventually(came_back)
        assert shards.held == []
        assert await outbox.count() == 1
        assert await outbox.published() == []
    finally:
        await rival.close()
    await outbox.emptied()
    assert await outbox.published() == [("order-1", "one")]


async def test_a_new_connection_is_looked_at_before_anything_is_sent(outbox: Outbox, database: Any) -> None:
    """A database that comes back as another one is not sent from: the relay ends without taking its locks."""
    taken: list[int] = []

    async def refuse(connection: asyncpg.Connection) -> None:
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        taken.append(await connection.fetchval(query))
        raise Unrecoverable("the database was restored")

    _, task, shards = outbox.start(reconnected=refuse)
    await all_held(shards)
    await outbox.add("order-1", "one")
    await outbox.emptied()
    await outbox.connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = $1 AND application_name = 'test'",
        database.name,
    )
    await outbox.add("order-1", "two")
    assert await asyncio.wait_for(task, 30) == EXIT_FATAL
    assert taken == [0]
    assert await outbox.count() == 1
    assert await outbox.published() == [("order-1", "one")]


class FailsOnce(Producer):
    """A producer whose acknowledgement gets lost the first time, after the broker has the messages."""

    dropped = 0
    failures = 1

    async def send(self, messages: Sequence[Message]) -> None:
        await super().send(messages)
        if FailsOnce.failures:
            FailsOnce.failures -= 1
            raise TimeoutError("no acknowledgement")

    async def drop(self) -> None:
        FailsOnce.dropped += 1
        await super().drop()


async def test_a_failed_send_starts_again_from_the_lowest_row(outbox: Outbox) -> None:
    """Without acknowledgement nothing is deleted: the same messages go out again, byte for byte, in order."""
    for number in range(20):
        await outbox.add("order-1", f"{number:02}")
    FailsOnce.failures, FailsOnce.dropped = 1, 0
    outbox.start(FailsOnce)
    await outbox.emptied()
    values = [value for _, value in await outbox.published()]
    once = [f"{number:02}" for number in range(20)]
    assert values == once + once
    assert FailsOnce.dropped == 1


async def test_past_the_budget_it_gives_up(outbox: Outbox) -> None:
    """When nothing works for the retry budget the relay ends with a status that makes a supervisor act."""
    await outbox.add("order-1", "one")
    FailsOnce.failures = 1_000
    _, task, _ = outbox.start(FailsOnce, retry_budget=0.5)
    assert await asyncio.wait_for(task, 30) == EXIT_FATAL
    assert await outbox.count() == 1
    FailsOnce.failures = 0


async def test_headers_and_empty_values_survive(outbox: Outbox) -> None:
    """Doubled headers, bytes that are no text and a missing key or value reach the topic as they were."""
    headers = [("a", b"1"), ("a", b"\xff\x00"), ("ü", "ß".encode())]
    assert decode_headers(encode_headers(headers)) == headers
    await outbox.connection.execute(INSERT, outbox.topic, None, encode_headers(headers), None, 0)
    outbox.start()
    await outbox.emptied()
    consumer = AIOKafkaConsumer(
        outbox.topic,
        bootstrap_servers=outbox.settings.kafka_bootstrap_servers,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), 20)
    finally:
        await consumer.stop()
    assert (record.key, record.value, list(record.headers)) == (None, None, headers)
