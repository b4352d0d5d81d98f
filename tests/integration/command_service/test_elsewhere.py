"""Commands that lie in another partition than their order's others."""

import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import structlog
from structlog.testing import LogCapture

from command_service.elsewhere import Elsewhere
from harness.plain_client import command
from integration.command_service.conftest import PARTITION, Services
from messaging import partition_of

CREATE = {"cashier_id": "anna", "currency": "EUR"}
PARTITIONS = 12


async def twelve() -> int:
    return PARTITIONS


def elsewhere(partitioner: str, *, refuse: bool = False) -> Elsewhere:
    return Elsewhere(PARTITION.topic, partitioner, twelve, refuse=refuse)


def create(belongs: bool, partitioner: str = "murmur2", source: str = "/till/7") -> dict[str, Any]:
    """Give a command whose order belongs into the tests' partition, or into another."""
    while True:
        order_id = str(uuid4())
        if (partition_of(order_id.encode(), PARTITIONS, partitioner) == PARTITION.partition) is belongs:
            return command("CreateOrder", order_id, CREATE, source=source)


async def counted(services: Services) -> dict[str, int]:
    rows = await services.admin.fetch("SELECT source, records FROM operations.commands_elsewhere")
    return {row["source"]: row["records"] for row in rows}


@pytest.mark.parametrize("partitioner", ["murmur2", "crc32"])
async def test_they_are_carried_out_counted_and_warned_of_once(services: Services, partitioner: str) -> None:
    """Each source is counted in the database and warned of once, and its commands take effect."""
    handler = services.new(elsewhere=elsewhere(partitioner))
    await handler.assigned({})
    log = LogCapture()
    structlog.configure(processors=[log])
    here = [create(True, partitioner) for _ in range(2)]
    there = [create(False, partitioner, source) for source in ("/till/7", "/till/7", "/till/8")]
    await services.handle(handler, *here, *there[:1])
    await handler.look()
    assert await counted(services) == {"/till/7": 1}
    await services.handle(handler, *there[1:])
    await handler.look()
    await handler.look()
    assert await counted(services) == {"/till/7": 2, "/till/8": 1}
    assert set((await services.outcomes()).values()) == {"accepted"}
    warned = [each["source"] for each in log.entries if each["event"] == "commands.elsewhere"]
    assert warned == ["/till/7", "/till/8"]


async def test_they_count_once_they_are_stored(services: Services) -> None:
    """A batch that could not be stored comes again, and counts then alone."""
    handler = services.new(elsewhere=elsewhere("murmur2"))
    await handler.assigned({})
    there = create(False)
    await services.admin.execute("REVOKE INSERT ON order_events FROM tillstream_command_service")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await services.handle(handler, there)
    await services.admin.execute("GRANT INSERT ON order_events TO tillstream_command_service")
    await services.handle(handler, there)
    await handler.look()
    assert await counted(services) == {"/till/7": 1}


async def test_they_are_refused_where_the_setting_says_so(services: Services) -> None:
    """The refusal names both partitions; it stays the command's outcome, and a right one goes through."""
    handler = services.new(elsewhere=elsewhere("murmur2", refuse=True))
    await handler.assigned({})
    there, here = create(False), create(True)
    await services.handle(handler, there, here)
    codes = await services.outcomes()
    ids = [dict(each["headers"])["ce_id"].decode() for each in (there, here)]
    assert [codes[each] for each in ids] == ["wrong_partition", "accepted"]
    answer = await services.admin.fetchval("SELECT value FROM outbox WHERE value LIKE '%wrong_partition%'")
    belongs = partition_of(there["key"], PARTITIONS)
    assert (
        f"lies in partition 0; by murmur2 its key, {there['key'].decode()}, belongs in {belongs}"
        in (json.loads(answer)["message"])
    )


async def test_any_partitioner_looks_at_none(services: Services) -> None:
    """A fleet of several partitioners by intent is neither counted nor refused."""
    handler = services.new(elsewhere=elsewhere("any", refuse=True))
    await handler.assigned({})
    await services.handle(handler, create(False), create(True))
    await handler.look()
    assert await counted(services) == {}
    assert set((await services.outcomes()).values()) == {"accepted"}


async def test_what_is_refused_for_something_else_has_no_place(services: Services) -> None:
    """Another key than the order's, or a field that makes no sense, says nothing of a partitioner."""
    handler = services.new(elsewhere=elsewhere("murmur2"))
    await handler.assigned({})
    there = create(False)
    other_key = {**create(False), "key": str(uuid4()).encode()}
    malformed = command("AddItem", there["key"].decode(), {})
    await services.handle(handler, there, other_key, malformed)
    assert sorted((await services.outcomes()).values()) == ["accepted", "bad_key", "malformed"]
    await handler.look()
    assert await counted(services) == {"/till/7": 1}
