"""A command service stops when dead letters become the rule, and stays stopped until something is done."""

import asyncio
import json
from uuid import uuid4

import asyncpg

from harness.installation import Installation
from harness.plain_client import PlainClient, command, headers_of

CREATE = {"cashier_id": "anna", "currency": "EUR"}
LIMIT = 7
JUNK = {
    "key": None,
    "value": b"not a command",
    "headers": [("ce_type", b"orders.CreateOrder")],
    "partition": 3,
}


async def test_a_service_stops_where_dead_letters_become_the_rule(
    installation: Installation, upstream: PlainClient, admin: asyncpg.Connection
) -> None:
    """Past the limit it ends loudly, nothing of the batch stored, and after a restart at the same record."""
    relay = installation.service("outbox_relay")
    await relay.ready()
    good = {**command("CreateOrder", str(uuid4()), CREATE), "partition": 3}
    # The good one that shares a batch with the eighth of the junk must wait with it.
    await upstream.send([JUNK] * LIMIT + [JUNK, good] + [JUNK] * 20)

    for _ in range(2):
        # Batches below the limit each: counted from the start of the process, some would pass every time.
        service = installation.service("command_service", dead_letter_limit=str(LIMIT), batch_records="3")
        assert await service.ended() == 70, service.log
        lines = [json.loads(line) for line in service.log.splitlines()]
        # A new group's coordinator may take a moment, which aiokafka calls an error.
        ours = [line for line in lines if not line["logger"].startswith("aiokafka")]
        (told,) = [line for line in ours if line["level"] == "error"]
        assert told["event"] == "consumer.refused"
        reason = told["reason"]
        assert f"orders.commands/3/{LIMIT} are dead letters" in reason
        assert "tenantid: is required" in reason
        assert "time: is required. Look at what was deployed last" in reason
    letters = await upstream.read("orders.dead-letters", 6)
    assert [headers_of(letter)["deadletter_offset"] for letter in letters] == [str(n) for n in range(6)]
    assert await admin.fetchval("SELECT count(*) FROM command_outcomes") == 0

    # The operator's decision: these records are meant to be dead letters.
    mended = installation.service("command_service", dead_letter_limit="28")
    await asyncio.gather(mended.ready(), upstream.read("orders.dead-letters", 28))
    assert len(await upstream.read("orders.outcomes", 1)) == 1
