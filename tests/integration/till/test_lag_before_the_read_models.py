"""What `till lag` tells of commands that wait, and of what is held, set aside or sent elsewhere."""

import asyncio
import io
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from rich.console import Console
from typer.testing import CliRunner

from integration.till.conftest import Till
from integration.till.lagging import Bookkeeping, EventTopic
from messaging import KafkaConnection
from operations.status import Rates, read_lags
from till.app import app
from till.verbs.lag import _picture


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
