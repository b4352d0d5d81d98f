"""What is held back of a partition, set aside and released, on a real database."""

from typing import Any
from uuid import uuid4

import pytest
import structlog

from commands import NO_SOURCE, SetAside
from harness.plain_client import command
from integration.command_service.conftest import PARTITION, Services
from messaging import Assigned

CREATE = {"cashier_id": "anna", "currency": "EUR"}
NOTHING: dict[str, Any] = {"key": None, "value": None, "headers": []}
RELEASE = """
WITH asked AS (
    INSERT INTO operations.actions (actor, action, arguments) VALUES ('anna', 'release', '{}') RETURNING id
)
UPDATE operations.holds SET released_to = $1, released_by = (SELECT id FROM asked) WHERE released_to IS NULL
"""


def create(source: str = "/till/7") -> dict[str, Any]:
    return command("CreateOrder", str(uuid4()), CREATE, source=source)


def unreadable(source: str = "/till/7") -> dict[str, Any]:
    """Give a command whose id can't be read."""
    sent = command("CreateOrder", str(uuid4()), CREATE, command_id="7", source=source)
    return {**sent, "key": None}


async def held(services: Services) -> list[tuple[Any, ...]]:
    rows = await services.admin.fetch("SELECT source, first_offset FROM operations.holds ORDER BY id")
    return [tuple(row) for row in rows]


async def noted(services: Services) -> list[int]:
    rows = await services.admin.fetch("SELECT record_offset FROM operations.set_aside ORDER BY 1")
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    ("bad", "source"),
    [
        (NOTHING, NO_SOURCE),
        (unreadable(), "/till/7"),
        ({**NOTHING, "headers": [("ce_source", b"\xff/till/9"), ("ce_id", None)]}, "\ufffd/till/9"),
        ({**NOTHING, "headers": [("ce_source", b"a" * 201)]}, NO_SOURCE),
        (command("CreateOrder", "o", structured=True, tenant="", source="/till/6"), "/till/6"),
    ],
)
async def test_a_flood_is_set_aside_and_its_sender_s_good_commands_go_on(
    services: Services, bad: dict[str, Any], source: str
) -> None:
    """Beyond the limit what names no command is noted where it lies; what does is carried out, whoever's."""
    handler = services.new(limit=2)
    await services.handle(handler, bad, create(), bad, create(), bad, create())
    await services.handle(handler, bad, create(), create("/till/8"))
    assert len(await services.outcomes()) == 5
    assert len(await services.dead_letters()) == 2
    assert await held(services) == [(source, 4)]
    assert await noted(services) == [4, 6]


async def test_a_batch_that_comes_again_is_noted_once(services: Services) -> None:
    """After a crash another service takes the same records: each ends where it ended before."""
    records = services.records(*([unreadable()] * 5), create())
    for _ in range(2):
        await services.new(limit=2).handle({PARTITION: records})
    assert await held(services) == [("/till/7", 2)]
    assert await noted(services) == [2, 3, 4]
    rows = await services.admin.fetch(
        "SELECT DISTINCT headers::text FROM outbox WHERE topic = 'orders.dead-letters'"
    )
    assert len(rows) == 2
    assert set((await services.outcomes()).values()) == {"accepted"}


async def test_what_the_database_refuses_too_often_holds_the_partition(services: Services) -> None:
    """That is no sender's fault: nothing from there on is decided, whoever sent it, until it is released."""
    await services.admin.execute("ALTER TABLE command_outcomes ADD CHECK (actor <> 'poison')")
    poison = [command("CreateOrder", str(uuid4()), CREATE, actor="poison") for _ in range(4)]
    records = services.records(create(), *poison, create())
    handler = services.new(limit=2)
    assert await handler.handle({PARTITION: records}) == {PARTITION: 3}
    assert len(await services.outcomes()) == 1
    assert len(await services.dead_letters()) == 2
    for each in (handler, services.new(limit=2)):
        assert await each.handle({PARTITION: records[3:]}) == {PARTITION: 3}
    assert await held(services) == [(None, 3)]

    await services.admin.execute(RELEASE, services.offset)
    assert await handler.handle({PARTITION: records[3:]}) == {}
    assert len(await services.outcomes()) == 2
    assert len(await services.dead_letters()) == 4
    # What comes later counts anew.
    again = services.records(*(command("CreateOrder", str(uuid4()), CREATE, actor="poison") for _ in "abc"))
    assert await handler.handle({PARTITION: again}) == {PARTITION: again[2].offset}


async def test_what_is_released_is_judged_by_the_build_of_then(services: Services) -> None:
    """What names a command by now is carried out in its order, the rest become dead letters; none is left."""
    handler = services.new(limit=0)
    await handler.assigned({})
    readable, junk = services.records(create(), unreadable())
    await handler.handle({PARTITION: [junk]})
    hold = await services.admin.fetchval("SELECT id FROM operations.holds")
    # As a build has left it that could not read it.
    await services.admin.execute("INSERT INTO operations.set_aside VALUES ($1, $2)", hold, readable.offset)
    await services.admin.execute(RELEASE, services.offset)
    released = [SetAside(hold, 0, readable.offset), SetAside(hold, 0, junk.offset)]
    await handler.judge_anew(released, [readable, junk])
    assert list((await services.outcomes()).values()) == ["accepted"]
    assert len(await services.dead_letters()) == 1
    assert await noted(services) == []


async def test_what_is_released_is_found_under_a_newer_hold(services: Services) -> None:
    """A source that is set aside once more keeps nothing of what was released before from being judged."""
    handler = services.new(limit=0)
    await handler.assigned({PARTITION: Assigned(None, 0, 0)})
    first, again = services.records(unreadable(), unreadable())
    await handler.handle({PARTITION: [first]})
    hold = await services.admin.fetchval("SELECT id FROM operations.holds")
    await services.admin.execute(RELEASE, again.offset)
    await handler.handle({PARTITION: [again]})
    assert len(await held(services)) == 2
    assert await handler.look() == [SetAside(hold, 0, first.offset)]


async def test_what_is_released_waits_on_where_it_holds_its_partition(services: Services) -> None:
    """What the database refuses beyond the limit stays noted, and who judges it is told to stop for now."""
    handler = services.new(limit=0)
    await handler.assigned({})
    junk, poison = services.records(
        unreadable(), command("CreateOrder", str(uuid4()), CREATE, actor="poison")
    )
    await handler.handle({PARTITION: [junk]})
    hold = await services.admin.fetchval("SELECT id FROM operations.holds")
    # As a build has left it that could not read it.
    await services.admin.execute("INSERT INTO operations.set_aside VALUES ($1, $2)", hold, poison.offset)
    await services.admin.execute(RELEASE, services.offset)
    await services.admin.execute("ALTER TABLE command_outcomes ADD CHECK (actor <> 'poison')")
    assert not await handler.judge_anew([SetAside(hold, 0, poison.offset)], [poison])
    assert await noted(services) == [junk.offset, poison.offset]
    assert await services.admin.fetchval("SELECT count(*) FROM operations.holds WHERE source IS NULL") == 1


async def test_what_no_dead_letter_can_hold_stops_nobody_either(services: Services) -> None:
    """A record that its topic should not have let in sets its source aside; released, it is passed over."""
    huge = {**unreadable(), "value": b"x" * (2 * 1024 * 1024)}
    handler = services.new()
    records = services.records(create(), huge, create())
    assert await handler.handle({PARTITION: records}) == {}
    assert len(await services.outcomes()) == 2
    assert await held(services) == [("/till/7", 1)]
    assert await noted(services) == [1]
    reason = await services.admin.fetchval("SELECT reason FROM operations.holds")
    assert reason.startswith("orders.commands/0/1 would need 2,097,")

    await services.admin.execute(RELEASE, services.offset)
    hold = await services.admin.fetchval("SELECT id FROM operations.holds")
    with structlog.testing.capture_logs() as logs:
        await handler.judge_anew([SetAside(hold, 0, 1)], [records[1]])
    assert [entry["event"] for entry in logs] == ["commands.passed_over"]
    assert await noted(services) == []
    # What lay on the partition already when it was released is passed over as well.
    await services.new().handle({PARTITION: records})
    assert len(await held(services)) == 1
