"""Dead letters sent again by an operator, through running services."""

import asyncio
import json
from uuid import uuid4

import asyncpg

from harness.installation import Installation
from harness.plain_client import PlainClient, command, headers_of
from harness.till_process import till

CREATE = {"cashier_id": "anna", "currency": "EUR"}
JUNK = {"key": None, "value": b"not a command", "headers": [("ce_type", b"orders.CreateOrder")]}


async def test_a_retried_letter_has_its_effects_once(
    installation: Installation, upstream: PlainClient, admin: asyncpg.Connection
) -> None:
    """A command that was dead-lettered happens once however often it is sent again; junk stays junk."""
    relay, service = installation.service("outbox_relay"), installation.service("command_service")
    await asyncio.gather(relay.ready(), service.ready())
    await upstream.send([JUNK])
    (letter,) = await upstream.read("orders.dead-letters", 1)
    (row,) = await till(installation, "dead-letters", "list", "-o", "json")
    assert (row["id"], row["decision"]) == (headers_of(letter)["deadletter_id"], "open")
    await till(installation, "dead-letters", "retry", row["id"], "--anyway")
    again = (await upstream.read("orders.dead-letters", 2))[1:]
    assert again
    (row,) = await till(installation, "dead-letters", "list", "--all", "-o", "json")
    assert (row["decision"], row["retry_of"]) == ("open", headers_of(letter)["deadletter_id"])
    # Another place, another letter; the first is decided.
    assert row["id"] != headers_of(letter)["deadletter_id"]
    assert row["offset"] > int(headers_of(letter)["deadletter_offset"])

    # As an older build left it, that could not read the command.
    order = str(uuid4())
    sound = command("CreateOrder", order, CREATE)
    await admin.execute(
        "INSERT INTO outbox (topic, key, headers, value, shard) VALUES ($1, $2, $3, $4, 0)",
        f"{installation.prefix}orders.dead-letters",
        sound["key"],
        json.dumps(
            [[name, value.decode()] for name, value in sound["headers"]]
            + [
                ["deadletter_id", str(uuid4())],
                ["deadletter_topic", f"{installation.prefix}orders.commands"],
                ["deadletter_partition", "5"],
                ["deadletter_offset", "99"],
                ["deadletter_reason", "type: not known here"],
            ]
        ),
        sound["value"],
    )
    await upstream.read("orders.dead-letters", 3)
    (row,) = await till(installation, "dead-letters", "list", "--reason", "not known", "-o", "json")
    assert (row["order_id"], row["command_type"]) == (order, "orders.CreateOrder")
    for _ in range(2):
        await till(installation, "dead-letters", "retry", row["id"], "--again")
    first, second = await upstream.read("orders.outcomes", 2)
    assert (first.value, headers_of(first)) == (second.value, headers_of(second))
    assert await admin.fetchval("SELECT count(*) FROM order_events") == 1
    (row,) = await till(installation, "dead-letters", "list", "--all", "--reason", "not known", "-o", "json")
    assert (row["decision"], row["came_of_it"]) == ("retried", "accepted")
