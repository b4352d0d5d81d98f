"""A replay that is broken off, at any point: what is told, and how it is finished or ended."""

import asyncio
import os
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from harness.forked import ForkedProcess
from integration.projector.order_log import random_log
from integration.projector.processes import Installation, until
from integration.projector.reading import expected, kept, rows
from integration.till.conftest import Till
from messaging import KafkaConnection, committed_offsets, group_members
from messaging.groups import MARKER
from operations import pause_causes
from operations.errors import OperationRefused
from operations.groups import wait_until_left
from operations.replay import Group, execution
from till.advice import advice_on

NAME = "order_summary"
REWIND = ("replay", NAME, "--to-earliest", "--execute")
# Killed before a step of the execution, or between two calls within it.
KILLED = """
import os, signal, sys
from till import app
from operations.replay import Group, execution

owner, name = {
    "plan": (execution.Execution, "_plan"),
    "reset": (execution.Execution, "_reset"),
    "let_replay": (execution, "let_replay"),
    "watch": (execution.Watch, "look"),
}[sys.argv.pop(1)]

async def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, die)
app.main()
"""


@pytest.fixture
async def conn(database: Any) -> Any:
    """Give a superuser's connection to the test's database."""
    connection = await asyncpg.connect(database.dsn())
    yield connection
    await connection.close()


@pytest.fixture
async def installation(
    kafka_server: Any, database: Any, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Installation:
    """Give an installation with its topics made, which till operates."""
    monkeypatch.setenv("TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS", kafka_server.bootstrap_servers)
    monkeypatch.setenv("TILLSTREAM_TOPIC_PREFIX", topic_prefix)
    monkeypatch.setenv("TILLSTREAM_OPERATOR_DATABASE_URL", database.dsn("operator"))
    made = Installation(kafka_server, database, topic_prefix, tmp_path)
    await made.make_topics()
    return made


def start_till(installation: Installation, *arguments: str, code: str | None = None) -> ForkedProcess:
    """Start till as a process, which has a Ctrl-C of its own."""
    output = installation.folder / "till.log"
    command = ["-m", "till"] if code is None else ["-c", code]
    return ForkedProcess([*command, *arguments], environment=os.environ, errors=output)


async def state(conn: asyncpg.Connection) -> list[str]:
    found = await conn.fetch("SELECT state FROM operations.replays ORDER BY action_id")
    return [row["state"] for row in found]


async def outcomes(conn: asyncpg.Connection) -> list[tuple[str, str | None]]:
    found = await conn.fetch(
        "SELECT action, outcome FROM operations.actions LEFT JOIN operations.results ON action_id = id"
        " ORDER BY id"
    )
    return [tuple(row) for row in found]


@pytest.mark.parametrize(
    ("killed", "left_as"),
    [("plan", "pausing"), ("reset", "resetting"), ("let_replay", "resetting"), ("watch", "replaying")],
)
async def test_a_replay_killed_at_any_point_is_finished_by_continuing(
    installation: Installation, conn: asyncpg.Connection, till: Till, killed: str, left_as: str
) -> None:
    """What a killed till leaves is told, keeps others out, and is carried on from where it was."""
    log = random_log(20)
    await log.store(conn)
    with installation.running(NAME):
        ends = await installation.send(log)
        await installation.level(conn, NAME, ends)
        before = await kept(conn, NAME)
        await conn.execute("UPDATE projections.order_summary_1 SET total = total + 1")
        process = start_till(installation, killed, *REWIND, code=KILLED)
        assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL
        assert await state(conn) == [left_as]
        assert await pause_causes(conn, NAME) == ([] if left_as == "replaying" else ["replay"])
        if left_as != "replaying":
            told = await asyncio.to_thread(till, "replay", NAME, "--to-earliest")
            assert told["under_way"].endswith(left_as)
            with pytest.raises(OperationRefused, match=f"a replay of .* since .*, {left_as}"):
                await asyncio.to_thread(till, *REWIND)
        done = await asyncio.to_thread(till, "replay", NAME, "--continue")
        assert done["executed"]["finished"]
        await installation.level(conn, NAME, ends)
        assert await rows(conn, NAME) == expected(NAME, log)
        assert await kept(conn, NAME) == before
    assert await state(conn) == ["done"]
    assert await pause_causes(conn, NAME) == []
    refused = [] if left_as == "replaying" else [("replay", "failed")]
    assert await outcomes(conn) == [("replay", None), *refused, ("replay", "done")]


@pytest.mark.parametrize(("killed", "rewound"), [("plan", False), ("let_replay", True)])
async def test_a_replay_killed_while_its_read_model_is_paused_is_ended_by_cancelling(
    installation: Installation, conn: asyncpg.Connection, till: Till, killed: str, rewound: bool
) -> None:
    """Cancelled, the projectors go on: where they were, or, once the offsets were reset, by replaying."""
    log = random_log(20)
    await log.store(conn)
    with installation.running(NAME):
        ends = await installation.send(log)
        await installation.level(conn, NAME, ends)
        process = start_till(installation, killed, *REWIND, code=KILLED)
        assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL
        # Cancelled before the projector has looked, the pause would come and go unseen.
        kafka = KafkaConnection(installation.kafka.bootstrap_servers)
        assert await wait_until_left(kafka, installation.group(NAME))
        answer = await asyncio.to_thread(till, "replay", NAME, "--cancel")
        assert ("Nothing had been reset" in answer["cancelled"]["meaning"]) is not rewound
        assert await state(conn) == ["cancelled"]

        async def joined() -> bool:
            return bool(await group_members(kafka, installation.group(NAME)))

        await until(joined, "the projector is back")
        taken = "SELECT min(epoch) > 1 FROM projections.checkpoints"
        await until(lambda: conn.fetchval(taken), "the partitions taken up again")
        await installation.level(conn, NAME, ends)
        assert await rows(conn, NAME) == expected(NAME, log)
    decisions = await conn.fetch("SELECT DISTINCT decision FROM projections.assignments")
    assert [row["decision"] for row in decisions] == (["rewind_to_start"] if rewound else [])
    with pytest.raises(OperationRefused, match="No replay of order_summary is under way"):
        await asyncio.to_thread(till, "replay", NAME, "--cancel")


async def test_ctrl_c_leaves_the_replay_to_the_projectors(
    installation: Installation, conn: asyncpg.Connection, till: Till
) -> None:
    """Whoever stops watching stops nothing; a later look finds it finished, and another may begin."""
    log = random_log(20)
    await log.store(conn)
    ends = await installation.send(log)
    with installation.running(NAME) as projector:
        await installation.level(conn, NAME, ends)
        assert await installation.stop(projector) == 0
    process = start_till(installation, *REWIND)

    async def replaying() -> bool:
        assert process.poll() is None, (installation.folder / "till.log").read_text()
        return await state(conn) == ["replaying"]

    await until(replaying, "the offsets reset")
    with pytest.raises(OperationRefused, match=r"a replay of .* since .*, replaying"):
        await asyncio.to_thread(till, "replay", NAME, "--continue")
    process.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(process.wait, 60) == 130
    told = (installation.folder / "till.log").read_text()
    assert "The projectors go on replaying order_summary" in " ".join(told.split())
    assert (await outcomes(conn))[0] == ("replay", "interrupted")
    assert await state(conn) == ["replaying"]
    with pytest.raises(OperationRefused, match=r"a replay of .* since .*, replaying"):
        await asyncio.to_thread(till, *REWIND)
    with installation.running(NAME):
        decided = "SELECT count(*) > 0 FROM projections.assignments"
        await until(lambda: conn.fetchval(decided), "the rewind taken up")
        await installation.level(conn, NAME, ends)
        # The one that nobody watched to its end is ended by the next.
        done = await asyncio.to_thread(till, *REWIND)
    assert done["executed"]["finished"]
    assert await state(conn) == ["done", "done"]
    assert await rows(conn, NAME) == expected(NAME, log)


async def committed(installation: Installation, ends: list[int]) -> None:
    """Wait until Kafka knows how far the group has got, which it is told about once a second."""
    partitions = [TopicPartition(installation.topics.events, number) for number in range(len(ends))]
    kafka = KafkaConnection(installation.kafka.bootstrap_servers)

    async def known() -> bool:
        found = await committed_offsets(kafka, installation.group(NAME), partitions)
        return [found[each].offset for each in partitions] == ends

    await until(known, f"{NAME} committed at {ends}")


async def test_a_dry_run_changes_nothing_and_tells_the_time_once_one_was_measured(
    installation: Installation, conn: asyncpg.Connection, till: Till
) -> None:
    """Orders and events concerned are told; only an execution leaves anything, its rate included."""
    log = random_log(20)
    await log.store(conn)
    with installation.running(NAME):
        ends = await installation.send(log)
        await installation.level(conn, NAME, ends)
        told = await asyncio.to_thread(till, "replay", NAME, "--to-earliest")
        assert told["orders"] == len(log.orders)
        assert told["events"] == sum(ends)
        assert told["estimated_seconds"] is None
        assert told["executed"] is None
        await committed(installation, ends)
        part = await asyncio.to_thread(till, "replay", NAME, "--shift-by", "-1", "--partitions", "1")
        assert part["orders"] == 1
        assert await outcomes(conn) == []
        assert await state(conn) == []
        assert await conn.fetchval("SELECT max(epoch) FROM projections.checkpoints") == 1
        assert await conn.fetchval("SELECT count(*) FROM projections.assignments") == 0

        await asyncio.to_thread(till, *REWIND)
        again = await asyncio.to_thread(till, "replay", NAME, "--to-earliest")
    assert again["estimated_seconds"] > 0
    details = await conn.fetchval("SELECT details FROM operations.results")
    assert f'"events": {sum(ends)}' in details
    assert '"events_per_second"' in details


@pytest.mark.usefixtures("installation")
async def test_a_replay_beside_a_build_is_refused(conn: asyncpg.Connection, till: Till) -> None:
    """Two rebuilds at a time would spoil a read model: the second is told whose is first."""
    await conn.execute(
        "INSERT INTO operations.actions (actor, action, arguments) VALUES ('ann@here', 'rebuild', '{}')"
    )
    await conn.execute(
        "INSERT INTO operations.builds (read_model, kind, action_id, version)"
        " SELECT $1, 'rebuild', id, 1 FROM operations.actions",
        NAME,
    )
    with pytest.raises(OperationRefused, match=r"a rebuild since .*, asked for by ann@here"):
        await asyncio.to_thread(till, *REWIND)
    assert await state(conn) == []
    assert await pause_causes(conn, NAME) == []


async def test_a_group_that_does_not_empty_is_not_reset(
    installation: Installation, conn: asyncpg.Connection, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that knows no pauses holds the reset up; the advice is to stop it, or to cancel."""
    monkeypatch.setattr(execution, "wait_until_left", partial(wait_until_left, deadline=0.5))
    topic, group = installation.topics.events, installation.group(NAME)
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=installation.kafka.bootstrap_servers, group_id=group
    ) as stranger:
        await stranger.getmany(timeout_ms=100)
        with pytest.raises(OperationRefused, match=r"is paused, but the group .* still has members") as told:
            await asyncio.to_thread(till, *REWIND)
        assert "--continue" in advice_on(told.value)
        assert "--cancel" in advice_on(told.value)
        assert await state(conn) == ["pausing"]
        monkeypatch.setattr(execution, "wait_until_left", lambda *_: asyncio.sleep(0, result=True))
        # Kafka itself refuses what only an empty group may have done.
        with pytest.raises(OperationRefused, match="is in use"):
            await asyncio.to_thread(till, "replay", NAME, "--continue")
        assert await state(conn) == ["resetting"]
        await asyncio.to_thread(till, "replay", NAME, "--cancel")
    assert await pause_causes(conn, NAME) == []


async def test_a_replay_that_a_partition_did_not_follow_is_no_success(
    installation: Installation, conn: asyncpg.Connection, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an offset of ours has come over the reset, the partition is named, and the replay has failed."""
    reset = Group.reset

    async def reset_and_overwrite(group: Group, offsets: Mapping[int, int]) -> None:
        await reset(group, offsets)
        async with group.kafka.consumer(group_id=group.name) as consumer:
            partition = TopicPartition(group.topic, 1)
            consumer.assign([partition])
            await consumer.commit({partition: OffsetAndMetadata(ends[1], MARKER)})

    log = random_log(20)
    await log.store(conn)
    with installation.running(NAME):
        ends = await installation.send(log)
        await installation.level(conn, NAME, ends)
        monkeypatch.setattr(Group, "reset", reset_and_overwrite)
        with pytest.raises(OperationRefused, match=r"these did not: 1 \(went on\)") as told:
            await asyncio.to_thread(till, *REWIND)
        assert "--partitions 1" in advice_on(told.value)
        assert await state(conn) == ["cancelled"]
        assert await outcomes(conn) == [("replay", "failed")]


async def test_an_operators_pause_outlives_a_replay(
    installation: Installation, conn: asyncpg.Connection, till: Till
) -> None:
    """A read model that was paused stays so: its offsets are reset, and it replays once resumed."""
    log = random_log(10)
    await log.store(conn)
    with installation.running(NAME):
        ends = await installation.send(log)
        await installation.level(conn, NAME, ends)
        assert await asyncio.to_thread(start_till(installation, "pause", NAME).wait, 60) == 0
        done = await asyncio.to_thread(till, *REWIND)
        assert done["executed"] == {
            "replay": done["executed"]["replay"],
            "finished": False,
            "still_paused_by": ["operator"],
        }
        assert await pause_causes(conn, NAME) == ["operator"]
        assert await asyncio.to_thread(start_till(installation, "resume", NAME).wait, 60) == 0
        done = await asyncio.to_thread(till, "replay", NAME, "--continue")
        assert done["executed"]["finished"]
        assert await rows(conn, NAME) == expected(NAME, log)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--execute",),
        ("--to-earliest", "--to-latest"),
        ("--to-earliest", "--continue"),
        ("--continue", "--cancel"),
        ("--cancel", "--execute"),
        ("--continue", "--partitions", "0"),
    ],
)
def test_exactly_one_thing_is_asked_for(
    till: Till, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """A replay without a scenario, or with two, is no replay."""
    monkeypatch.setenv("TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(SystemExit) as ended:
        till("replay", NAME, *arguments)
    assert ended.value.code == 2
