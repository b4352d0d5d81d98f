"""How far read models are behind, by their checkpoints and by resets that are still to be followed."""

import asyncio
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from rich.console import Console
from typer.testing import CliRunner

from commands import ORDERS
from integration.till.conftest import Till
from messaging import KafkaConnection, ensure_topics, event_headers, fetch_topic_id
from messaging.groups import MARKER
from operations.errors import OperationRefused, Unreachable
from operations.status import Rates, read_lags
from readmodels import READ_MODELS
from till.app import app
from till.verbs.lag import _picture


class EventTopic:
    """The topic of events of one test, and the groups that read it."""

    def __init__(self, bootstrap_servers: str, prefix: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.topics = ORDERS.topics(prefix)
        kafka = KafkaConnection(bootstrap_servers)
        asyncio.run(ensure_topics(kafka, self.topics, partitions=2))
        self.topic_id = asyncio.run(fetch_topic_id(kafka, self.topics.events))

    def send(self, partition: int, *seconds_ago: float) -> None:
        """Put events on a partition that were recorded so long ago."""

        async def send() -> None:
            producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap_servers)
            await producer.start()
            for seconds in seconds_ago:
                await producer.send_and_wait(
                    self.topics.events, b"{}", partition=partition, headers=headers(seconds)
                )
            await producer.stop()

        asyncio.run(send())

    def commit_commands(self, offsets: Mapping[int, int]) -> None:
        """Commit offsets by partition for the group of the command services."""
        self._commit(self.topics.group("command_service"), self.topics.commands, offsets, MARKER)

    def commit(self, read_model: str, offsets: Mapping[int, int], metadata: str) -> None:
        """Commit offsets by partition for the group of a read model."""
        self._commit(self.topics.group(f"projector.{read_model}"), self.topics.events, offsets, metadata)

    def _commit(self, group: str, topic: str, offsets: Mapping[int, int], metadata: str) -> None:
        async def commit() -> None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.bootstrap_servers, group_id=group, enable_auto_commit=False
            )
            await consumer.start()
            partitions = {TopicPartition(topic, each): at for each, at in offsets.items()}
            consumer.assign(list(partitions))
            await consumer.commit({each: OffsetAndMetadata(at, metadata) for each, at in partitions.items()})
            await consumer.stop()

        asyncio.run(commit())


def headers(seconds_ago: float) -> list[tuple[str, bytes]]:
    recorded_at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return event_headers(
        event_id=str(uuid4()),
        message_type="orders.OrderConfirmed",
        aggregate_id=str(uuid4()),
        tenant_id="store-1",
        actor="anna",
        version=1,
        schema_version=1,
        occurred_at=recorded_at,
        recorded_at=recorded_at,
        correlation_id="c",
        causation_id=str(uuid4()),
        metadata={},
    )


@pytest.fixture
def events(kafka_server: Any, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> EventTopic:
    """Give the topic of this test's installation."""
    monkeypatch.setenv("TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS", kafka_server.bootstrap_servers)
    monkeypatch.setenv("TILLSTREAM_TOPIC_PREFIX", topic_prefix)
    return EventTopic(kafka_server.bootstrap_servers, topic_prefix)


class Bookkeeping:
    """The projectors' tables, as a test fills them."""

    def __init__(self, dsn: str, topic: str, topic_id: UUID) -> None:
        self.dsn = dsn
        self.topic = topic
        self.topic_id = topic_id

    def execute(self, statement: str, *arguments: Any) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(self.dsn)
            await connection.execute(statement, *arguments)
            await connection.close()

        asyncio.run(execute())

    def live(self, read_model: str, generation: int = 1) -> None:
        """Make a generation the live one."""
        self.execute(
            "UPDATE projections.generations SET state = 'previous' WHERE read_model = $1", read_model
        )
        self.execute(
            "INSERT INTO projections.generations (read_model, generation, state, version) "
            "VALUES ($1, $2, 'live', 1)",
            read_model,
            generation,
        )

    def checkpoint(
        self, read_model: str, partition: int, at: int, *, generation: int = 1, until: int | None = None
    ) -> None:
        """Put a generation's checkpoint of a partition at an offset."""
        self.execute(
            "INSERT INTO projections.checkpoints (read_model, topic, topic_id, epoch, refolding, partition, "
            "next_offset, generation, replay_until) VALUES ($1, $2, $3, 1, false, $4, $5, $6, $7)",
            read_model,
            self.topic,
            self.topic_id,
            partition,
            at,
            generation,
            until,
        )


@pytest.fixture
def books(database: Any, events: EventTopic) -> Bookkeeping:
    """Give the tables behind this test's topic, with live generations that have not got anywhere."""
    made = Bookkeeping(database.dsn(), events.topics.events, events.topic_id)
    for name in READ_MODELS:
        made.live(name)
    return made


def test_lag_counts_what_no_checkpoint_has_passed(till: Till, events: EventTopic, books: Bookkeeping) -> None:
    """Records are those at or past the checkpoint; the oldest one's age is since it was recorded."""
    events.send(0, 900.0, 600.0, 300.0)
    events.send(1, 500.0)
    for read_model, offsets in {"order_summary": (2, 0), "sales": (3, 1)}.items():
        for partition, offset in enumerate(offsets):
            books.checkpoint(read_model, partition, offset)
    lag = till("lag", "--partitions")["read_models"]
    assert (lag["sales"]["records"], lag["sales"]["oldest_seconds"], lag["sales"]["state"]) == (0, 0, "live")
    assert lag["order_summary"]["records"] == 2
    assert 500 <= lag["order_summary"]["oldest_seconds"] < 600
    partitions = lag["order_summary"]["partitions"]
    assert [(each["place"], each["records"]) for each in partitions.values()] == [(2, 1), (0, 1)]
    assert 300 <= partitions["0"]["oldest_seconds"] < 400
    # Without a checkpoint nothing is known to be applied.
    assert (lag["audit_log"]["records"], lag["audit_log"]["state"]) == (4, "not started")


@pytest.mark.parametrize(
    ("committed", "ours", "place"),
    [
        (1, False, 1),  # an operator's rewind, which a start will follow
        (3, False, 2),  # a skip, which will be refused
        (1, True, 2),  # a crash between the two commits
        (3, True, 2),  # the database was restored
    ],
)
def test_lag_goes_by_what_a_start_would_decide(
    till: Till, events: EventTopic, books: Bookkeeping, *, committed: int, ours: bool, place: int
) -> None:
    """Of the checkpoint and the group's offset, the one counts that the projector will go on from."""
    events.send(0, 900.0, 600.0, 300.0)
    books.checkpoint("sales", 0, 2)
    books.checkpoint("sales", 1, 0)
    events.commit("sales", {0: committed}, MARKER if ours else "")
    sales = till("lag", "--partitions")["read_models"]["sales"]
    assert sales["partitions"]["0"]["place"] == place
    assert sales["records"] == 3 - place


def test_an_old_generation_says_nothing(till: Till, events: EventTopic, books: Bookkeeping) -> None:
    """After a swap the lag is the live generation's, whatever the one before has got to."""
    events.send(0, 900.0, 600.0)
    books.checkpoint("sales", 0, 1, generation=2)
    books.checkpoint("sales", 0, 2)
    books.live("sales", 2)
    assert till("lag")["read_models"]["sales"]["records"] == 1


def test_lag_tells_how_a_read_model_stands(till: Till, events: EventTopic, books: Bookkeeping) -> None:
    """Paused, replaying and building are told, the first of them in one word, and parked orders too."""
    events.send(0, 900.0, 600.0, 300.0)
    for read_model in READ_MODELS:
        books.checkpoint(read_model, 0, 1, until=3 if read_model != "audit_log" else 1)
        books.checkpoint(read_model, 1, 0)
    books.execute(
        "WITH asked AS (INSERT INTO operations.actions (actor, action, arguments) "
        "VALUES ('anna@till', 'replay', '{}') RETURNING id) "
        "INSERT INTO operations.pauses (read_model, cause, action_id) SELECT 'sales', 'replay', id FROM asked"
    )
    books.execute(
        "INSERT INTO operations.builds"
        " (read_model, kind, version, state, orders_done, orders_total, blocked_by)"
        " VALUES ('audit_log', 'upgrade', 2, 'comparing', 3, 4, ARRAY['ann (psql), pid 7'])"
    )
    for generation in (1, 2):
        books.execute(
            "INSERT INTO projections.parked (read_model, generation, tenant_id, order_id, partition, version,"
            " newest_version, last_offset, error) VALUES ('sales', $1, 't', $2, 0, 1, 1, 0, 'why')",
            generation,
            uuid4(),
        )
    lag = till("lag", "--partitions")["read_models"]
    assert {name: each["state"] for name, each in lag.items()} == {
        **dict.fromkeys(READ_MODELS, "replaying"),
        "sales": "paused",
        "audit_log": "building",
    }
    assert (lag["sales"]["paused_by"], lag["sales"]["parked_orders"]) == (["replay"], 1)
    assert lag["order_summary"]["to_replay"] == 2
    assert [each["replaying"] for each in lag["order_summary"]["partitions"].values()] == [True, False]
    assert lag["audit_log"]["building"]["orders_done"] == 3
    assert lag["audit_log"]["building"]["swap_blocked_by"] == ["ann (psql), pid 7"]
    told = CliRunner().invoke(app, ["lag"], env={"COLUMNS": "200"}).stdout
    assert "paused by replay; replaying, 2 events to go" in told
    assert "upgrade: comparing, 75%; the swap waits for ann (psql), pid 7" in told


def test_the_outbox_is_a_part_of_the_lag(till: Till, events: EventTopic, books: Bookkeeping) -> None:
    """What waits to be published is counted, with the age of the oldest, and without sight of its content."""
    assert events.topics.events
    assert till("lag")["outbox"] == {"rows": 0, "oldest_seconds": 0}
    books.execute(
        "INSERT INTO outbox (shard, topic, headers, created_at)"
        " SELECT 0, 't', '[]', now() - interval '1 hour' FROM generate_series(1, 30)"
    )
    outbox = till("lag")["outbox"]
    assert outbox["rows"] == 30
    assert 3600 <= outbox["oldest_seconds"] < 4000


@pytest.mark.usefixtures("events")
def test_lag_says_that_the_topic_is_missing(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the topic of events there is no lag to tell but an error, with what makes the topic."""
    monkeypatch.setenv("TILLSTREAM_TOPIC_PREFIX", f"t{uuid4().hex}.")
    with pytest.raises(OperationRefused, match="has no topic"):
        till("lag")


def test_lag_says_that_kafka_is_down(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Kafka lag ends with an error that says how to start everything."""
    monkeypatch.setenv("TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        till("lag")


@pytest.mark.usefixtures("books")
def test_commands_that_wait_are_told(till: Till, events: EventTopic) -> None:
    """Commands that no service has handled are counted from where its group is, with the oldest one's age."""
    topic = events.topics.commands

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=events.bootstrap_servers) as producer:
            for number in range(5):
                await producer.send_and_wait(topic, b"%d" % number, partition=1)

    assert till("lag")["commands"][topic] == {"records": 0, "oldest_seconds": 0, "held": {}}
    asyncio.run(send())
    found = till("lag", "--partitions")["commands"][topic]
    assert found["records"] == 5
    assert found["partitions"]["1"]["place"] == 0
    assert found["oldest_seconds"] > 0
    assert found["partitions"]["0"]["records"] == 0
    events.commit_commands({1: 3})
    assert till("lag")["commands"][topic]["records"] == 2
    told = CliRunner().invoke(app, ["lag"]).output
    assert f"Commands: 2 on {topic} wait to be handled, the oldest for" in told


def test_what_is_held_back_is_told(till: Till, events: EventTopic, books: Bookkeeping) -> None:
    """Partitions and sources are named with since when, why and the verb that lets them go on."""
    assert till("lag")["held_back"] == []
    topic = events.topics.commands
    for source in (None, "/till/\x1b7", ""):
        books.execute(
            "INSERT INTO operations.holds (topic, partition, source, first_offset, reason)"
            " VALUES ($1, 1, $2, 5, 'too many')",
            topic,
            source,
        )
    books.execute("INSERT INTO operations.set_aside SELECT 2, generate_series(5, 9)")
    assert [(each["source"], each["records"]) for each in till("lag")["held_back"]] == [
        (None, 0),
        ("/till/\x1b7", 5),
        ("", 0),
    ]
    told = " ".join(CliRunner().invoke(app, ["lag"]).output.split())
    assert f"{topic}/1 is held back since 20" in told
    assert f"/till/\\x1b7 on {topic}/1 is set aside since 20" in told
    assert "(5 records): too many. `till dead-letters release 2` lets it go on" in told
    assert f"what tells no source on {topic}/1" in told


def test_who_sends_elsewhere_is_told(till: Till, events: EventTopic, books: Bookkeeping) -> None:
    """Sources whose commands lay in another partition within the last day are named, the worst first."""
    assert till("lag")["elsewhere"] == []
    sources = {"/till/\x1b7": 3, "/till/8": 100, "": 1, "/till/9": 2}
    for source, records in sources.items():
        books.execute(
            "INSERT INTO operations.commands_elsewhere (topic, source, records) VALUES ($1, $2, $3)",
            events.topics.commands,
            source,
            records,
        )
    books.execute(
        "INSERT INTO operations.commands_elsewhere (topic, source, records, last_at)"
        " VALUES ('t', 'mended', 1000, now() - interval '25 hours')"
    )
    assert [each["records"] for each in till("lag")["elsewhere"]] == [100, 3, 2, 1]
    told = " ".join(CliRunner().invoke(app, ["lag"]).output.split())
    assert "of 4 sources (/till/8: 100, /till/\\x1b7: 3, /till/9: 2, 1 more)" in told


@pytest.mark.usefixtures("books")
def test_a_transaction_that_holds_a_partition_is_named(till: Till, events: EventTopic) -> None:
    """Its partition, its place and the cause are told; what was taken back waits for nobody."""
    topic = events.topics.commands

    async def transact() -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=events.bootstrap_servers, transactional_id=f"{topic}.till"
        )
        await producer.start()
        async with producer.transaction():
            await producer.send_and_wait(topic, b"committed", partition=0)
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"taken back", partition=0)
        await producer.abort_transaction()
        return producer

    async def hold() -> tuple[Any, str]:
        producer = await transact()
        try:
            events_before = await asyncio.to_thread(till, "lag")
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"open", partition=0)
            told = (await asyncio.to_thread(CliRunner().invoke, app, ["lag"])).output
            held = (await asyncio.to_thread(till, "lag"))["commands"][topic]["held"]
            await producer.abort_transaction()
        finally:
            await producer.stop()
        assert events_before["commands"][topic]["held"] == {}
        return held, told

    events.commit_commands({0: 1})
    held, told = asyncio.run(hold())
    assert held == {"0": 4}
    assert f"{topic}/0 is held at 4 by a transaction that its sender left open" in " ".join(told.split())
    # Behind the last command there are only marks: nothing waits.
    assert till("lag")["commands"][topic]["records"] == 0


def test_a_transaction_that_holds_events_is_named(
    till: Till, events: EventTopic, books: Bookkeeping, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Partition, place, age and cause are told, also at each read model that it holds, and by --watch."""
    monkeypatch.setenv("COLUMNS", "200")
    topic = events.topics.events
    events.send(0, 900.0)
    for read_model, at in {"sales": 1, "order_summary": 0}.items():
        books.checkpoint(read_model, 0, at)
        books.checkpoint(read_model, 1, 0)

    async def hold() -> tuple[Any, str, str]:
        async with AIOKafkaProducer(
            bootstrap_servers=events.bootstrap_servers, transactional_id=f"{topic}.stranger"
        ) as producer:
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"open", partition=0)
            await asyncio.to_thread(events.send, 0, 600.0)
            found = await asyncio.to_thread(till, "lag", "--partitions")
            told = (await asyncio.to_thread(CliRunner().invoke, app, ["lag"])).output
            watched = await watched_once()
            await producer.abort_transaction()
        return found, told, watched

    async def watched_once() -> str:
        conn = await asyncpg.connect(database.dsn("query"))
        lags = await read_lags(conn, KafkaConnection(events.bootstrap_servers), events.topics)
        await conn.close()
        console = Console(width=200, file=io.StringIO())
        with console.capture() as captured:
            console.print(_picture(lags, Rates(), partitions=False))
        return captured.get()

    assert till("lag")["events"] == {topic: {"held": {}, "held_seconds": 0}}
    found, *told = asyncio.run(hold())
    assert found["events"][topic]["held"] == {"0": 1}
    assert 0 < found["events"][topic]["held_seconds"] < 60
    sales, summary = (found["read_models"][name]["partitions"]["0"] for name in ("sales", "order_summary"))
    assert (sales["records"], sales["held_at"]) == (2, 1)
    # It has yet to come to the transaction.
    assert (summary["records"], summary["held_at"]) == (3, None)
    for each in told:
        assert f"{topic}/0 is held at 1 by a transaction that its sender left open" in each
    after = till("lag", "--partitions")
    assert after["events"][topic]["held"] == {}
    assert 500 < after["read_models"]["sales"]["oldest_seconds"] < 700
    # Behind the last event there is only the transaction's mark: nothing waits.
    books.execute("UPDATE projections.checkpoints SET next_offset = 3 WHERE partition = 0")
    assert till("lag")["read_models"]["sales"]["records"] == 0
