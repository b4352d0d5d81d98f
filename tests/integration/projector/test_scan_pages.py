"""How much of the event store a build's scan takes at a time, on PostgreSQL alone."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pydantic import SecretStr

from integration.projector.order_log import PARTITIONS, TOPIC, OrderLog, create, item, order_key, random_log
from integration.projector.reading import MOST_NAMES
from projector import refolding
from projector.building import scanning
from projector.building.build_lease import BuildLease
from projector.building.record import read_build
from projector.building.scanning import Scan
from readmodels import READ_MODELS, OrderChange, ReadModel
from readmodels.generations import open_live

_CHECKPOINTS = """
INSERT INTO projections.checkpoints
    (read_model, generation, topic, partition, topic_id, next_offset, epoch, refolding)
SELECT $1, 2, $2, number, $3, 0, 0, false FROM generate_series(0, $4 - 1) AS number
"""


@pytest.fixture
async def holding(database: Any) -> AsyncIterator[BuildLease]:
    """Give the right to build any read model, under the projector's role."""
    held = BuildLease(SecretStr(database.dsn("projector")), "any")
    assert await held.acquire()
    yield held
    await held.release()


async def scan_of(conn: asyncpg.Connection, holding: BuildLease, name: str) -> tuple[Scan, ReadModel, int]:
    """Begin a build of a second generation; return its scan, the generation and the build's id."""
    read_model, held = READ_MODELS[name], await holding.connection()
    await open_live(held, read_model)
    generation = read_model(2)
    await held.execute(
        "INSERT INTO projections.generations (read_model, generation, state, version)"
        " VALUES ($1, 2, 'building', 1)",
        name,
    )
    await generation.create_tables(held)
    await held.execute(_CHECKPOINTS, name, TOPIC, UUID(int=1), PARTITIONS)
    build = await conn.fetchval(
        "INSERT INTO operations.builds (read_model, kind, version, generation, state)"
        " VALUES ($1, 'rebuild', 1, 2, 'scanning') RETURNING id",
        name,
    )
    return Scan(holding, await read_build(held, build), generation, TOPIC, 100), generation, build


async def no_step() -> None:
    pass


@pytest.mark.parametrize("name", MOST_NAMES)
async def test_a_scans_page_is_bounded_by_events(
    conn: asyncpg.Connection, holding: BuildLease, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """However many orders are due, a page has few events, or one order; and no order is left out."""
    monkeypatch.setattr(refolding, "EVENTS_AT_ONCE", 15)
    monkeypatch.setattr(scanning, "EVENTS_WRITTEN_AT_ONCE", 6)
    log = random_log(30)
    log.do(order_key("long"), create(), *[item("1")] * 20)
    await log.store(conn)
    scan, generation, build = await scan_of(conn, holding, name)
    pages: list[list[int]] = []
    fold = scan._projection.fold_stored

    async def folding(conn: asyncpg.Connection, up_to: dict[Any, int]) -> Any:
        pages.append(list(up_to.values()))
        return await fold(conn, up_to)

    monkeypatch.setattr(scan._projection, "fold_stored", folding)
    await scan.run(no_step)
    assert all(sum(page) <= 15 or len(page) == 1 for page in pages)
    assert [21] in pages
    assert max(map(len, pages)) > 1
    assert (await read_build(await holding.connection(), build)).orders_done == len(log.orders)
    table = generation.orders_table.format(generation=2)
    found = await conn.fetch(f"SELECT tenant_id, order_id, version FROM {table}")  # noqa: S608 - ours
    assert {tuple(row) for row in found} == {(*key, order.version) for key, order in log.orders.items()}
    if name == "audit_log":
        assert await conn.fetchval("SELECT count(*) FROM projections.audit_log_2") == len(log.history)


async def test_a_scan_may_compute_for_longer_than_a_batch(
    conn: asyncpg.Connection, holding: BuildLease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database waits for one order's many rows to be computed, in pieces of a page's events."""
    monkeypatch.setattr(scanning, "EVENTS_WRITTEN_AT_ONCE", 6)
    log = OrderLog()
    for number in range(4):
        log.do(order_key(f"order {number}"), create(), item("1"), item("2"))
    await log.store(conn)
    scan, generation, _ = await scan_of(conn, holding, "audit_log")
    seen: list[tuple[int, str]] = []
    write = generation.write

    async def writing(conn: asyncpg.Connection, changes: Sequence[OrderChange]) -> None:
        seen.append((len(changes), await conn.fetchval("SHOW idle_in_transaction_session_timeout")))
        await write(conn, changes)

    monkeypatch.setattr(generation, "write", writing)
    await scan.run(no_step)
    assert seen == [(2, "30s"), (2, "30s")]
    shown = await (await holding.connection()).fetchval("SHOW idle_in_transaction_session_timeout")
    assert shown == "5s"
