"""What Kafka has lost, by its own tools: groups, offsets and records; the read model lacks nothing then."""

import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from integration.projector.order_log import PARTITIONS, VOID, OrderLog, random_log
from integration.projector.processes import Installation, until
from integration.projector.reading import expected, rows
from integration.projector.spoiling import decided, spoil

NAME = "sales"


@pytest.fixture
async def installation(kafka_server: Any, database: Any, topic_prefix: str, tmp_path: Path) -> Installation:
    """Give an installation with its topics made."""
    made = Installation(kafka_server, database, topic_prefix, tmp_path)
    await made.make_topics()
    return made


@pytest.fixture
async def log(conn: asyncpg.Connection) -> OrderLog:
    """Give a log that is stored."""
    made = random_log(40)
    await made.store(conn)
    return made


async def project(installation: Installation, conn: asyncpg.Connection, ends: list[int]) -> None:
    """Have a projector bring the read model to these offsets, and end."""
    epochs = "SELECT coalesce(sum(epoch), 0) FROM projections.checkpoints"
    before = await conn.fetchval(epochs)
    with installation.running(NAME) as process:

        async def taken() -> bool:
            assert process.poll() is None, installation.output(NAME).read_text()
            return bool(await conn.fetchval(epochs) > before)

        await until(taken, "the partitions taken up")
        await installation.level(conn, NAME, ends)
        assert await installation.stop(process) == 0


@pytest.mark.parametrize("lost", ["the group", pytest.param("offsets", marks=pytest.mark.long)])
async def test_lost_offsets_move_nothing(
    installation: Installation, conn: asyncpg.Connection, log: OrderLog, lost: str
) -> None:
    """Without the group's offsets, deleted or expired, a projector goes on from its checkpoint."""
    ends = await installation.send(log)
    await project(installation, conn, ends)
    group = ("--group", installation.group(NAME))
    if lost == "the group":
        printed = await installation.tool("consumer-groups", "--delete", *group)
        assert "was successful" in printed
        partitions = list(range(PARTITIONS))
    else:
        topic = f"{installation.topics.events}:1"
        printed = await installation.tool("consumer-groups", "--delete-offsets", *group, "--topic", topic)
        assert "Successful" in printed
        partitions = [1]
    for key in [key for key, order in log.orders.items() if order.status == "confirmed"][:5]:
        log.do(key, VOID)
    await log.store(conn)
    more = await installation.send(log, already=ends)
    await project(installation, conn, more)
    assert await rows(conn, NAME) == expected(NAME, log)
    assert await decided(conn) == [(each, "commit_lost", None, ends[each], ends[each]) for each in partitions]


async def take_records(installation: Installation, offsets: list[int]) -> None:
    """Delete the records before these offsets, as retention does."""
    topic, path = installation.topics.events, installation.folder / "records.json"
    places = [{"topic": topic, "partition": n, "offset": at} for n, at in enumerate(offsets)]
    path.write_text(json.dumps({"partitions": places, "version": 1}))
    printed = await installation.tool("delete-records", "--offset-json-file", str(path))
    assert printed.count("low_watermark") == PARTITIONS, printed


async def test_records_lost_before_they_were_read_come_from_the_store(
    installation: Installation, conn: asyncpg.Connection, log: OrderLog
) -> None:
    """A projector whose next records are gone goes on where the topic begins now, and lacks nothing."""
    half = OrderLog(records={p: records[: len(records) // 3] for p, records in log.records.items()})
    reached = await installation.send(half)
    await project(installation, conn, reached)
    ends = await installation.send(log, already=reached)
    beginnings = [end * 2 // 3 for end in ends]
    await take_records(installation, beginnings)
    await project(installation, conn, ends)
    assert await rows(conn, NAME) == expected(NAME, log)
    found = await decided(conn)
    assert [(row[0], row[1], row[4]) for row in found] == [
        (number, "records_lost", at) for number, at in enumerate(beginnings)
    ]


async def test_a_rewind_on_a_topic_that_lost_records_rebuilds_all(
    installation: Installation, conn: asyncpg.Connection, log: OrderLog
) -> None:
    """To-earliest is where the topic begins now: what lies before it is folded from the store."""
    ends = await installation.send(log)
    await project(installation, conn, ends)
    beginnings = [end // 2 for end in ends]
    await take_records(installation, beginnings)
    printed = await installation.reset(NAME, "--to-earliest")
    assert all(f" {at}" in printed for at in beginnings)
    for number in range(PARTITIONS):
        await spoil(conn, NAME, number)
    await project(installation, conn, ends)
    assert await rows(conn, NAME) == expected(NAME, log)
    assert [row[:2] for row in await decided(conn)] == [
        (number, "rewind_to_start") for number in range(PARTITIONS)
    ]
