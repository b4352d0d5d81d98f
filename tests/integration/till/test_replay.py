"""`till replay` beside Kafka's own tool: the same offsets, the same decisions, the same rows."""

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from integration.projector.order_log import PARTITIONS, OrderLog, random_log
from integration.projector.processes import Installation, until
from integration.projector.reading import expected, rows
from integration.till.conftest import Till
from messaging import KafkaConnection, committed_offsets
from readmodels import READ_MODELS

# Kafka's tool resets the one, till the other: they read the same topic.
BY_TOOL, BY_TILL = "order_summary", "sales"
AGED = timedelta(hours=2)
SCENARIOS = {
    "to-earliest": ("--to-earliest",),
    "to-latest": ("--to-latest",),
    "to-current": ("--to-current",),
    "to-datetime": ("--to-datetime", "{an_hour_ago}"),
    "by-duration": ("--by-duration", "PT1H"),
    "shift-by": ("--shift-by", "-9"),
    "shift-ahead": ("--shift-by", "3"),
    "to-offset": ("--to-offset", "7"),
    "from-file": ("--from-file", "{file}"),
}
# One of each kind: by place, by time, by distance, from a file.
EACH_TIME = {"to-earliest", "to-datetime", "shift-by", "from-file"}


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


async def send_half_of_it_aged(installation: Installation, log: OrderLog) -> list[int]:
    """Send a log whose first half is two hours old, as Kafka tells it; return the partitions' ends."""
    now = int(time.time() * 1000)
    aged = now - int(AGED.total_seconds() * 1000)
    async with AIOKafkaProducer(bootstrap_servers=installation.kafka.bootstrap_servers) as producer:
        for partition, records in log.records.items():
            for record in records:
                await producer.send(
                    installation.topics.events,
                    record.value,
                    record.key,
                    partition.partition,
                    aged if record.offset < len(records) // 2 else now,
                    headers=list(record.headers),
                )
    return [len(records) for records in log.records.values()]


@contextmanager
def filled(installation: Installation, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(installation.running(name)) for name in names}


async def spoil(conn: asyncpg.Connection, name: str, plan: Mapping[int, int]) -> None:
    """Make wrong what a rewind to these offsets is to put right."""
    amount = {"order_summary": "total", "sales": "gross"}[name]
    table = READ_MODELS[name].orders_table.format(generation=1)
    for partition, offset in plan.items():
        await conn.execute(
            f"UPDATE {table} SET {amount} = {amount} + 1 WHERE partition = $1 AND last_offset >= $2",  # noqa: S608
            partition,
            offset,
        )


async def decided(conn: asyncpg.Connection, name: str) -> list[tuple[Any, ...]]:
    found = await conn.fetch(
        "SELECT partition, decision, committed_offset, checkpoint_offset, goes_on_from"
        " FROM projections.assignments WHERE read_model = $1 ORDER BY partition",
        name,
    )
    return [tuple(row) for row in found]


def tools_plan(installation: Installation, printed: str) -> dict[int, int]:
    found = re.findall(rf"{re.escape(installation.topics.events)}\s+(\d+)\s+(\d+)", printed)
    assert found, printed
    return {int(partition): int(offset) for partition, offset in found}


@pytest.mark.parametrize(
    "partitions", [pytest.param(None, id="all"), pytest.param("0,2", id="some", marks=pytest.mark.long)]
)
@pytest.mark.parametrize(
    "scenario",
    [name if name in EACH_TIME else pytest.param(name, marks=pytest.mark.long) for name in SCENARIOS],
)
async def test_till_resets_as_kafkas_own_tool_does(
    installation: Installation, conn: asyncpg.Connection, till: Till, scenario: str, partitions: str | None
) -> None:
    """Each scenario gives the same offsets and decisions either way, and rows that equal the fold."""
    log = random_log(40)
    await log.store(conn)
    ends = await send_half_of_it_aged(installation, log)
    topic = installation.topics.events
    file = installation.folder / "offsets.csv"
    file.write_text("".join(f"{topic},{number},{5 * number}\n" for number in range(PARTITIONS)))
    an_hour_ago = (datetime.now(UTC) - AGED / 2).strftime("%Y-%m-%dT%H:%M:%S.000")
    options = [each.format(an_hour_ago=an_hour_ago, file=file) for each in SCENARIOS[scenario]]
    some = [] if partitions is None else ["--partitions", partitions]
    with filled(installation, (BY_TOOL, BY_TILL)) as running:
        for name in running:
            await installation.level(conn, name, ends)
        assert await installation.stop(running[BY_TOOL]) == 0

        scope = topic if partitions is None or scenario == "from-file" else f"{topic}:{partitions}"
        printed = await installation.tool(
            "consumer-groups",
            *(
                "--group",
                installation.group(BY_TOOL),
                "--topic",
                scope,
                "--reset-offsets",
                *options,
                "--execute",
            ),
        )
        plan = tools_plan(installation, printed)
        if scenario == "from-file":
            some = []
        told = await asyncio.to_thread(till, "replay", BY_TILL, *options, *some)
        assert {row["partition"]: row["to"] for row in told["partitions"]} == plan
        effects = {row["partition"]: row["effect"] for row in told["partitions"]}
        rewound = {p: to for p, to in plan.items() if effects[p].startswith("rewinds")}
        assert rewound == {p: to for p, to in plan.items() if to < ends[p]}
        assert told["events"] == sum(ends[p] - to for p, to in rewound.items())
        assert await decided(conn, BY_TILL) == []

        for name in (BY_TOOL, BY_TILL):
            await spoil(conn, name, rewound)
        done = await asyncio.to_thread(till, "replay", BY_TILL, *options, *some, "--execute")
        assert done["executed"]["finished"]
        assert await rows(conn, BY_TILL) == expected(BY_TILL, log)
        with installation.running(BY_TOOL):
            await until(lambda: followed(installation, BY_TOOL), "the tool's reset followed")
            await installation.level(conn, BY_TOOL, ends)
        assert await rows(conn, BY_TOOL) == expected(BY_TOOL, log)
        assert await decided(conn, BY_TILL) == await decided(conn, BY_TOOL)


async def followed(installation: Installation, name: str) -> bool:
    """Tell whether all offsets of a group are our own commits."""
    kafka = KafkaConnection(installation.kafka.bootstrap_servers)
    asked = [TopicPartition(installation.topics.events, number) for number in range(PARTITIONS)]
    found = await committed_offsets(kafka, installation.group(name), asked)
    return len(found) == PARTITIONS and all(each.ours for each in found.values())
