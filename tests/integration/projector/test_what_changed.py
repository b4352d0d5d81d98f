"""Loads of what changed since the last one: as the documents say, beside transactions that commit late."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition

from harness.groups import expel, rewind
from integration.projector.consuming import Consumer, NewConsumer
from integration.projector.order_log import TOPIC, OrderLog, create, item, order_key, random_log
from integration.projector.processes import Installation, until
from integration.projector.reading import NAMES
from integration.projector.rebuilding import Operator
from integration.projector.refusing import refuse
from integration.projector.reporting import Reporting, reporting
from integration.projector.spoiling import decided, spoil
from integration.projector.test_rebuild_swap import keep_changing
from projector.handler import Projector
from projector.projection import Applied, Projection

NAME = "order_summary"
# By their read model: the views with a row for an order or an event, and their keys.
KEYS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "audit_log": {"audit_log": ("tenant_id", "command_id", "version")},
    "order_summary": {"order_summary": ("tenant_id", "order_id")},
    "process_steps": {
        "process_steps": ("tenant_id", "order_id", "version"),
        "process_ends": ("tenant_id", "order_id"),
    },
    "product_movements": {"product_movements": ("tenant_id", "order_id", "version", "line_id")},
    "sales": {"sales_changes": ("tenant_id", "order_id", "version")},
}


class Copy:
    """A copy of one view, by key, and how far the last look got."""

    def __init__(self, read_model: str, view: str, key: Sequence[str]) -> None:
        self._read_model, self._view, self._key = read_model, view, key
        self._era, self._watermark = "", 0
        self.rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}

    async def look(self, conn: asyncpg.Connection) -> None:
        """Take what changed since the last look."""
        found = await conn.fetch(
            f"""
            SELECT v.*, f.era, f.watermark
            FROM read_models.freshness AS f LEFT JOIN read_models.{self._view} AS v
                ON v.changed >= CASE f.era WHEN $2 THEN $3 ELSE 0 END
            WHERE f.read_model = $1
            """,  # noqa: S608 - ours
            self._read_model,
            self._era,
            self._watermark,
        )
        self._era, self._watermark = found[0]["era"], found[0]["watermark"]
        self._take(found)

    async def whole(self, conn: asyncpg.Connection) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Give all that the view shows."""
        there = Copy(self._read_model, self._view, self._key)
        await there.look(conn)
        return there.rows

    def _take(self, found: Sequence[asyncpg.Record]) -> None:
        for row in found:
            if row["changed"] is not None:
                self.rows[tuple(row[name] for name in self._key)] = tuple(row)[:-2]


async def in_parts(log: OrderLog, new_consumer: NewConsumer, name: str = NAME) -> list[Consumer]:
    """Give a projector for each partition."""
    return [await new_consumer(log, name, partitions=frozenset({each})) for each in log.records]


async def test_a_late_upload_is_among_what_changed(
    database: Any, conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """What a terminal uploads a day late comes with the next load, told by when it was recorded."""
    log = random_log(20)
    await log.store(conn)
    consumer = await new_consumer(log, NAME)
    await consumer.drain()
    async with reporting(database) as report:
        assert await report.load() == len(log.orders)
        log.moment -= timedelta(days=1)
        late = order_key("late")
        log.do(late, create(), item("2"))
        await log.store(conn)
        await consumer.drain()
        await report.load()
        assert await report.copy() == await report.shown()
        (times,) = await report.conn.fetch(
            f"SELECT recorded_at = (SELECT max(recorded_at) FROM public.order_events AS e"  # noqa: S608 - ours
            " WHERE aggregate_id = order_id), updated_at < recorded_at"
            f" FROM {report.schema}.orders WHERE order_id = $1",
            late.aggregate_id,
        )
        assert tuple(times) == (True, True)


async def in_steps(*_: Any) -> None:
    """Have batches applied in a transaction of several statements, which can be held up between them."""


async def test_what_commits_after_a_load_comes_with_the_next(
    database: Any, conn: asyncpg.Connection, new_consumer: NewConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A projector that began before others, and commits after a load that saw theirs, is not missed."""
    log = random_log(30)
    await log.store(conn)
    slow, *others = await in_parts(log, new_consumer)
    wrote, enough = asyncio.Event(), asyncio.Event()
    apply = Projection.apply

    async def held(self: Projection, conn: asyncpg.Connection, arrivals: Any, **how: Any) -> Applied:
        applied = await apply(self, conn, arrivals, **how)
        if not wrote.is_set():
            wrote.set()
            await enough.wait()
        return applied

    monkeypatch.setattr(Projector, "_apply_at_once", in_steps)
    monkeypatch.setattr(Projection, "apply", held)
    late = asyncio.create_task(slow.step(at_once=1_000))
    await wrote.wait()
    for other in others:
        await other.drain()
    async with reporting(database) as report:
        before = await report.load()
        assert await report.copy() == await report.shown()
        enough.set()
        await late
        await report.load()
        assert await report.copy() == await report.shown()
        assert 0 < before < len(await report.copy()) == len(log.orders)


@pytest.mark.parametrize("name", NAMES)
async def test_looks_beside_projectors_miss_nothing(
    database: Any,
    conn: asyncpg.Connection,
    new_consumer: NewConsumer,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """Of every view: however commits of partitions and of refusals fall, look by look gives all of it."""
    log = random_log(60)
    await log.store(conn)
    rng = Random(name)  # noqa: S311 - repeatable
    consumers = await in_parts(log, new_consumer, name)
    apply = Projection.apply

    async def loitering(self: Projection, conn: asyncpg.Connection, arrivals: Any, **how: Any) -> Applied:
        applied = await apply(self, conn, arrivals, **how)
        await asyncio.sleep(rng.choice([0, 0.002, 0.03]))
        return applied

    async def refusing() -> None:
        admin = await asyncpg.connect(database.dsn())
        for number in range(10):
            async with admin.transaction():
                await refuse(admin, order_key(f"order {number}"))
                await asyncio.sleep(rng.choice([0, 0.03]))
        await admin.close()

    monkeypatch.setattr(Projector, "_apply_at_once", in_steps)
    monkeypatch.setattr(Projection, "apply", loitering)
    copies = [Copy(name, view, key) for view, key in KEYS[name].items()]
    analyst = await asyncpg.connect(database.dsn("analyst"))
    try:
        working = asyncio.gather(refusing(), *(each.drain(at_once=5) for each in consumers))
        looks = 0
        while not working.done():
            for copy in copies:
                await copy.look(analyst)
            looks += 1
            await asyncio.sleep(0)
        await working
        assert looks > 5
        for copy in copies:
            await copy.look(analyst)
            assert copy.rows == await copy.whole(analyst)
            assert copy.rows
    finally:
        await analyst.close()


async def test_a_replay_changes_what_it_puts_right_and_no_more(
    database: Any, conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """Orders that a replay writes as they were have not changed; those that it mends come with a load."""
    log = random_log(40)
    await log.store(conn)
    consumer = await new_consumer(log, NAME)
    await consumer.drain()
    async with reporting(database) as report:
        before = dict(await report.brought("order_id", "changed"))
        first, second = (TopicPartition(TOPIC, number) for number in range(2))
        await spoil(conn, NAME, first.partition)
        for partition in (first, second):
            consumer.reset(partition, 0)
        await consumer.assign()
        await consumer.drain()
        after = dict(await report.brought("order_id", "changed"))
        mended = {
            order.order_id for order in log.orders.values() if after[order.order_id] > before[order.order_id]
        }
        partitions = await conn.fetch("SELECT order_id, partition FROM projections.order_summary_1")
        assert mended == {row["order_id"] for row in partitions if row["partition"] == first.partition}
        assert await report.copy() == await report.shown()


async def test_an_order_that_was_parked_is_among_what_changed_once_it_is_there(
    database: Any, conn: asyncpg.Connection, new_consumer: NewConsumer
) -> None:
    """What waited aside, while later events were loaded, comes with the load after its retry."""
    log = random_log(10)
    await log.store(conn)
    aside = next(iter(log.orders))
    consumer = await new_consumer(log, NAME)
    await conn.execute(
        "ALTER TABLE projections.order_summary_1 ADD CONSTRAINT aside"
        f" CHECK (order_id <> '{aside.aggregate_id}' OR tenant_id <> '{aside.tenant_id}')"
    )
    await consumer.drain()
    async with reporting(database) as report:
        assert await report.load() == len(log.orders) - 1
        await conn.execute("ALTER TABLE projections.order_summary_1 DROP CONSTRAINT aside")
        await conn.execute("UPDATE projections.parked SET retry_requested = true")
        await consumer.projector.retry_parked()
        await report.load()
        assert await report.copy() == await report.shown()
        assert len(await report.copy()) == len(log.orders)


async def keep_loading(report: Reporting, enough: asyncio.Event) -> None:
    while not enough.is_set():
        await report.load()


async def test_loads_go_on_through_a_kill_a_rebuild_and_a_replay(
    installation: Installation, database: Any, conn: asyncpg.Connection, operator: Operator
) -> None:
    """Under load the copy equals the read model in the end: nothing is missed, and nothing is there twice."""
    log = random_log(100)
    await log.store(conn)
    ends = await installation.send(log)
    writing = await asyncpg.connect(database.dsn())
    changed, enough = asyncio.Event(), asyncio.Event()
    async with reporting(database) as report:
        async with asyncio.TaskGroup() as beside:
            with installation.running(NAME):
                await operator.live_level(NAME, ends)
                changing = beside.create_task(keep_changing(log, writing, installation, changed))
                beside.create_task(keep_loading(report, enough))
                await _loads(report, 3)
            # It was killed in the midst of it.
            await expel(installation.kafka.bootstrap_servers, installation.group(NAME))
            with installation.running(NAME) as process:
                await _loads(report, 3)
                assert (await operator.reach(await operator.ask(NAME), "swapped")).generation == 2
                await _loads(report, 3)
                changed.set()
                ends = await changing
                await operator.live_level(NAME, ends)
                assert await installation.stop(process) == 0
            await rewind(
                installation.kafka.bootstrap_servers, installation.group(NAME), installation.topics.events
            )
            with installation.running(NAME):
                await until(partial(_replayed, conn, ends), "the replay of each partition")
                await operator.live_level(NAME, ends)
            enough.set()
        await report.load()
        assert await report.copy() == await report.shown()
        assert len(await report.copy()) == len(log.orders)
    await writing.close()


async def _replayed(conn: asyncpg.Connection, ends: Sequence[int]) -> bool:
    return await decided(conn) == [(number, "rewind_to_start", 0, end, 0) for number, end in enumerate(ends)]


async def _loads(report: Reporting, count: int) -> None:
    due = len(report.news) + count

    async def there() -> bool:
        return len(report.news) >= due

    await until(there, f"{due} loads")
