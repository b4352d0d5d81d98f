"""Going through all streams page by page."""

from uuid import UUID

from eventstore import Batch, Connection, StreamKey
from integration.eventstore.tallies import STORE, added, appending, fill, statements_of, stream


async def test_pages_give_every_stream_once_with_its_version(conn: Connection) -> None:
    """The pages together are all streams, ascending by code points and id, each with its newest version."""
    there = {
        stream(tenant): count for count, tenant in enumerate(["b", "B", "a", "é", "b", "a-1"] * 3, start=1)
    }
    for key, count in there.items():
        await fill(conn, key, count)
    found: list[tuple[StreamKey, int]] = []
    while page := await STORE.streams(conn, found[-1][0] if found else None, 4):
        assert len(page) <= 4
        found += page
    assert found == sorted(there.items(), key=lambda each: (each[0].tenant_id, each[0].aggregate_id.bytes))


async def test_no_stream_comes_before_the_first_page(conn: Connection) -> None:
    """The least key there can be is on the first page too."""
    key = StreamKey(" ", UUID(int=0))
    await fill(conn, key, 1)
    assert await STORE.streams(conn, None, 10) == [(key, 1)]
    assert await STORE.streams(conn, key, 10) == []


async def test_a_page_reads_no_more_than_itself(conn: Connection, admin: Connection) -> None:
    """A page is one statement that walks the unique index, however many streams lie behind it."""
    for _ in range(4):
        keys = [stream() for _ in range(500)]
        await STORE.append(conn, Batch(appends=[appending(key, 0, added(), added()) for key in keys]))
    for analyzed in (False, True):
        if analyzed:
            await admin.execute("ANALYZE tally_events")
        async with statements_of(conn) as statements:
            await STORE.streams(conn, None, 10)
        (statement,) = statements
        plan = "\n".join(
            row[0]
            for row in await conn.fetch(
                f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}", "", UUID(int=0), 10
            )
        )
        assert "Seq Scan" not in plan, plan
        assert "Hash" not in plan, plan
