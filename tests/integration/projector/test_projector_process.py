"""The projector as a process: with a real Kafka, its own tools, and kill -9."""

import asyncio
import base64
import re
import signal
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError

from harness.groups import expel
from integration.projector.order_log import PARTITIONS, VOID, random_log
from integration.projector.processes import Installation, checkpoints, until
from integration.projector.reading import NAMES, folded, kept, rows
from integration.projector.spoiling import spoil
from messaging import KafkaConnection, committed_offsets, fetch_topic_id

KILLED_AFTER_THE_DATABASE_COMMIT = """
import os, signal
from projector import app, handler

handle = handler.Projector.handle

async def handle_and_die(self, batch):
    await handle(self, batch)
    os.kill(os.getpid(), signal.SIGKILL)

handler.Projector.handle = handle_and_die
app.main()
"""


async def test_a_rewind_by_kafkas_own_tool_rebuilds_identical_rows(
    installation: Installation, conn: asyncpg.Connection
) -> None:
    """The tool refuses while the group is active; once it is stopped, a reset to the start rebuilds."""
    log = random_log(60)
    await log.store(conn)
    ends = await installation.send(log)
    with ExitStack() as stack:
        running = {name: stack.enter_context(installation.running(name)) for name in NAMES}
        for name in NAMES:
            await installation.level(conn, name, ends)
        before = {name: (await rows(conn, name), await kept(conn, name)) for name in NAMES}
        assert before["sales"][0] == folded("sales", log.orders.values())
        assert before["order_summary"][0] == folded("order_summary", log.orders.values())

        printed = await installation.reset("sales", "--to-earliest")
        assert "only be reset if the group" in printed
        assert await checkpoints(conn, "sales") == ends

        await _stop(installation, running.values())
    # Java starts slowly: one call for all groups.
    groups = [part for name in NAMES for part in ("--group", installation.group(name))]
    reset = ("--topic", installation.topics.events, "--reset-offsets", "--to-earliest", "--execute")
    printed = await installation.tool("consumer-groups", *groups, *reset)
    for name in NAMES:
        told = rf"{re.escape(installation.group(name))}\s+{re.escape(installation.topics.events)}\s+\d+\s+0\b"
        assert len(re.findall(told, printed)) == PARTITIONS, printed
        for partition in range(PARTITIONS):
            await spoil(conn, name, partition)
    with ExitStack() as stack:
        running = {name: stack.enter_context(installation.running(name)) for name in NAMES}
        for name in NAMES:
            await until(partial(_decided, conn, name, "rewind_to_start"), f"{name} rewound")
            await installation.level(conn, name, ends)
            assert (await rows(conn, name), await kept(conn, name)) == before[name]
        await _stop(installation, running.values())


async def _stop(installation: Installation, running: Iterable[Any]) -> None:
    statuses = await asyncio.gather(*(installation.stop(process) for process in running))
    assert not any(statuses)


async def _decided(conn: asyncpg.Connection, name: str, decision: str) -> bool:
    statement = "SELECT count(*) FROM projections.assignments WHERE read_model = $1 AND decision = $2"
    return bool(await conn.fetchval(statement, name, decision) == PARTITIONS)


async def test_a_kill_between_the_databases_commit_and_kafkas_goes_on_from_the_checkpoint(
    installation: Installation, conn: asyncpg.Connection
) -> None:
    """Kafka's offsets are left behind by kill -9; the next process goes on from the checkpoint."""
    log = random_log(40)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running("sales", KILLED_AFTER_THE_DATABASE_COMMIT) as process:
        assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL
    reached = await checkpoints(conn, "sales")
    partitions = [TopicPartition(installation.topics.events, number) for number in range(PARTITIONS)]
    committed = await committed_offsets(
        KafkaConnection(installation.kafka.bootstrap_servers), installation.group("sales"), partitions
    )
    assert 0 < sum(reached) < sum(ends)
    assert {found.offset for found in committed.values()} == {0}
    # Kafka would wait for the killed one's session to time out.
    await expel(installation.kafka.bootstrap_servers, installation.group("sales"))
    with installation.running("sales") as process:
        await installation.level(conn, "sales", ends)
        assert await rows(conn, "sales") == folded("sales", log.orders.values())
        assert await installation.stop(process) == 0
    assert await conn.fetchval("SELECT count(*) FROM projections.assignments") == 0


async def test_two_projectors_share_the_partitions_of_a_read_model(
    installation: Installation, conn: asyncpg.Connection
) -> None:
    """Partitions move between processes that come and go while events arrive, and each event counts once."""
    log = random_log(40)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running("sales") as first, installation.running("sales") as second:
        await installation.level(conn, "sales", ends)
        for key, order in list(log.orders.items()):
            if order.status == "confirmed":
                log.do(key, VOID)
        await log.store(conn)
        ends = await installation.send(log, ends)
        assert await installation.stop(first) == 0
        await installation.level(conn, "sales", ends)
        assert await rows(conn, "sales") == folded("sales", log.orders.values())
        assert await installation.stop(second) == 0


async def test_a_topic_made_anew_ends_the_process_with_advice(
    installation: Installation, conn: asyncpg.Connection
) -> None:
    """A projector whose topic was deleted and made again exits non-zero and says that a rebuild is due."""
    log = random_log(5)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running("order_summary") as process:
        await installation.level(conn, "order_summary", ends)
        assert await installation.stop(process) == 0
    bootstrap_servers, topic = installation.kafka.bootstrap_servers, installation.topics.events
    old = await fetch_topic_id(KafkaConnection(bootstrap_servers), topic)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()

    async def gone() -> bool:
        try:
            await fetch_topic_id(KafkaConnection(bootstrap_servers), topic)
        except UnknownTopicOrPartitionError:
            return True
        return False

    await until(gone, "the topic deleted")
    await installation.make_topics()
    await installation.send(log)
    assert await fetch_topic_id(KafkaConnection(bootstrap_servers), topic) != old
    with installation.running("order_summary") as process:
        assert await asyncio.to_thread(process.wait, 60) == 70
    printed = installation.output("order_summary").read_text()
    assert re.search("the topic was deleted and made anew .*: rebuild the read model", printed)
    assert await checkpoints(conn, "order_summary") == ends


async def test_a_topics_id_is_the_one_kafkas_tool_shows(installation: Installation) -> None:
    """The id we ask for over the wire is the topic's own."""
    topic = installation.topics.events
    printed = await installation.tool("topics", "--describe", "--topic", topic)
    text = printed.split("TopicId:", 1)[1].split()[0]
    shown = UUID(bytes=base64.urlsafe_b64decode(text + "=="))
    assert await fetch_topic_id(KafkaConnection(installation.kafka.bootstrap_servers), topic) == shown
