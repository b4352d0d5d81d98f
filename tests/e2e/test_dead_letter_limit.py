"""Where dead letters become the rule: a broken till is set aside, everybody's fault holds a partition."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import asyncpg

from harness.groups import expel
from harness.installation import Installation
from harness.plain_client import PlainClient, command, headers_of
from harness.processes import ServiceProcess
from harness.till_process import till
from harness.waiting import eventually

CREATE = {"cashier_id": "anna", "currency": "EUR"}
LIMIT = 7
FLOOD = 150
BAD_TILL = "/till/broken"
PARTITIONS = 12


def junk(source: str | None, partition: int = 3) -> dict[str, Any]:
    headers = [("ce_type", b"orders.CreateOrder")]
    if source is not None:
        headers.append(("ce_source", source.encode()))
    return {"key": None, "value": b"not a command", "headers": headers, "partition": partition}


def good(partition: int, tenant: int) -> dict[str, Any]:
    sent = command("CreateOrder", str(uuid4()), CREATE, tenant=f"store-{tenant}", source=f"/till/{tenant}")
    return {**sent, "partition": partition}


def mixed(flood: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Give the flood with the good commands of twenty tenants in between, on every partition."""
    for number, each in enumerate(flood):
        yield each
        yield good(number % PARTITIONS, number % 20)


async def dead_offsets(upstream: PlainClient, count: int) -> list[int]:
    """Give the places of dead letters, once there are so many; one may be there again after a crash."""
    letters = await upstream.read("orders.dead-letters", count)
    while len(offsets := {int(headers_of(letter)["deadletter_offset"]) for letter in letters}) < count:
        letters = await upstream.read("orders.dead-letters", len(letters) + 1)
    return sorted(offsets)


async def told(service: ServiceProcess, status: int, where: str) -> str:
    """Wait until /readyz answers so, and give what it says there."""

    async def answer() -> str | None:
        found, body = await asyncio.to_thread(service.get, "/readyz")
        if found != status:
            return None
        document = json.loads(body)
        text = {**document["problems"], **document["states"]}.get(where)
        return None if text is None else str(text)

    return await eventually(answer) or ""


async def accepted(admin: asyncpg.Connection, count: int) -> None:
    async def all_there() -> bool:
        return await admin.fetchval("SELECT count(*) FROM command_outcomes WHERE code IS NULL") == count

    await eventually(all_there)


async def test_one_broken_till_stops_nobody(
    installation: Installation, upstream: PlainClient, admin: asyncpg.Connection
) -> None:
    """It is set aside, every good command is carried out, and its records are neither copied nor lost."""
    relay = installation.service("outbox_relay")
    services = [
        installation.service("command_service", dead_letter_limit=str(LIMIT), batch_records="20")
        for _ in "ab"
    ]
    await asyncio.gather(relay.ready(), *(service.ready() for service in services))
    await upstream.send(mixed([junk(BAD_TILL)] * FLOOD))
    await accepted(admin, FLOOD)
    offsets = await admin.fetchval("SELECT array_agg(record_offset) FROM operations.set_aside")
    assert len(offsets) == FLOOD - LIMIT
    (hold,) = (await till(installation, "lag", "-o", "json"))["held_back"]
    assert (hold["partition"], hold["source"], hold["records"]) == (3, BAD_TILL, FLOOD - LIMIT)

    # Whoever takes over, after a kill too, goes on as it was left: nothing more is dead-lettered.
    for service in services:
        service.kill()
    await expel(installation.bootstrap_servers, f"{installation.prefix}command_service")
    heir = installation.service("command_service", dead_letter_limit=str(LIMIT))
    await heir.ready()
    await upstream.send([junk(BAD_TILL), good(3, 1)])
    await accepted(admin, FLOOD + 1)
    assert f"{BAD_TILL} on " in await told(heir, 200, "set_aside")
    letters = await dead_offsets(upstream, LIMIT)
    assert len(letters) == LIMIT

    # The operator's word is enough: the rest become dead letters, uncounted, and those behind count anew.
    await till(installation, "dead-letters", "release", str(hold["id"]), "--note", "all of it is junk")
    letters = await dead_offsets(upstream, FLOOD + 1)
    assert len(letters) == FLOOD + 1
    assert await till(installation, "dead-letters", "held", "-o", "json") == []
    await upstream.send([junk(BAD_TILL)] * (LIMIT + 2))
    await upstream.read("orders.dead-letters", FLOOD + 1 + LIMIT)

    async def held_again() -> Any:
        return await till(installation, "dead-letters", "held", "-o", "json")

    (again,) = await eventually(held_again)
    assert again["hold"] > hold["id"]


async def test_a_fault_of_everybodys_holds_its_partition_only(
    installation: Installation, upstream: PlainClient, admin: asyncpg.Connection
) -> None:
    """Past the limit nothing more of it is handled, in order and after a restart; the others go on."""
    relay = installation.service("outbox_relay")
    await relay.ready()
    everybodys = [junk(f"/till/{number}") for number in range(LIMIT + 1)]
    # The good ones that lie behind the eighth must wait with it.
    behind = [good(3, 1), good(3, 2)]
    await upstream.send([*everybodys, *behind, *everybodys, *(good(n, n) for n in range(12) if n != 3)])
    service = installation.service("command_service", dead_letter_limit=str(LIMIT), batch_records="3")
    reason = await told(service, 503, "held_back")
    assert f"orders.commands/3/{LIMIT} are dead letters" in reason
    assert "tenantid: is required" in reason
    await accepted(admin, PARTITIONS - 1)
    service.kill()
    await expel(installation.bootstrap_servers, f"{installation.prefix}command_service")

    service = installation.service("command_service", dead_letter_limit=str(LIMIT), batch_records="3")
    assert await told(service, 503, "held_back") == reason
    assert await dead_offsets(upstream, LIMIT) == list(range(LIMIT))
    await till(installation, "dead-letters", "release", "--all")
    await accepted(admin, PARTITIONS - 1 + len(behind))
    await service.ready()
    assert len(await dead_offsets(upstream, 2 * len(everybodys))) == 2 * len(everybodys)
