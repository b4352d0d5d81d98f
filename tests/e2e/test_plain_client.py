"""An upstream system with a plain Kafka client: the messages table, seen from outside."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord

from harness.installation import Installation
from harness.plain_client import PlainClient, command, headers_of

BASKET: list[tuple[str, dict[str, Any]]] = [
    ("CreateOrder", {"cashier_id": "anna", "currency": "EUR"}),
    ("AddItem", {"product_id": "p-1", "name": "Tea", "quantity": "2", "unit_price": "3.50"}),
    ("AddItem", {"product_id": 7, "name": "Milk", "quantity": 1, "unit_price": 1.25}),
    ("ApplyLineDiscount", {"line_id": "1", "percent": "10", "authorised_by": "mia"}),
    ("ConfirmOrder", {}),
]


async def running(installation: Installation) -> None:
    """Start one command service and one relay."""
    services = [installation.service("command_service"), installation.service("outbox_relay")]
    await asyncio.gather(*(service.ready() for service in services))


def outcomes_by_command(records: list[ConsumerRecord]) -> dict[str, ConsumerRecord]:
    return {headers_of(record)["ce_causationid"]: record for record in records}


@pytest.mark.parametrize("structured", [False, True], ids=["binary", "structured"])
async def test_commands_become_events_and_outcomes(
    installation: Installation, upstream: PlainClient, structured: bool
) -> None:
    """Commands in either content mode give the events and outcomes of the messages table, keyed by order."""
    await running(installation)
    order_id = str(uuid4())
    ids = [str(uuid4()) for _ in BASKET]
    await upstream.send(
        command(kind, order_id, data, command_id=id_, structured=structured, correlationid="visit-9")
        for id_, (kind, data) in zip(ids, BASKET, strict=True)
    )
    events = await upstream.read("orders.events", len(BASKET))
    outcomes = outcomes_by_command(await upstream.read("orders.outcomes", len(BASKET)))

    assert [headers_of(event)["ce_type"] for event in events] == [
        "orders.OrderCreated",
        "orders.ItemAdded",
        "orders.ItemAdded",
        "orders.LineDiscountApplied",
        "orders.OrderConfirmed",
    ]
    assert {event.key for event in events} == {order_id.encode()}
    for version, (event, command_id) in enumerate(zip(events, ids, strict=True), 1):
        attributes = headers_of(event)
        UUID(attributes["ce_id"])
        assert attributes["content-type"] == "application/json"
        assert attributes["ce_specversion"] == "1.0"
        assert attributes["ce_subject"] == order_id
        assert attributes["ce_tenantid"] == "store-1"
        assert attributes["ce_actor"] == "anna"
        assert attributes["ce_version"] == str(version)
        assert attributes["ce_causationid"] == command_id
        assert attributes["ce_correlationid"] == "visit-9"
        assert attributes["ce_time"] == "2026-01-31T12:00:00Z"
        assert attributes["ce_recordedtime"].endswith("Z")
        assert int(attributes["ce_schemaversion"]) >= 1
        answer = outcomes[command_id]
        assert headers_of(answer)["ce_type"] == "orders.CommandAccepted"
        assert headers_of(answer)["ce_subject"] == order_id
        assert json.loads(answer.value) == {"version": version, "event_ids": [attributes["ce_id"]]}
    total = json.loads(events[-1].value)
    # 2 × 3.50 less 10 percent, and 1.25
    assert (total["subtotal"], total["discount"], total["total"]) == ("7.55", "0.00", "7.55")
    assert (total["business_day"], total["hour"]) == ("2026-01-31", 12)


async def test_refusals_name_code_and_reason(installation: Installation, upstream: PlainClient) -> None:
    """What breaks a rule is rejected with a code and a sentence, and its neighbours go through."""
    await running(installation)
    order_id, other = str(uuid4()), str(uuid4())
    reused = str(uuid4())
    item = {"product_id": "p", "name": "Tea", "quantity": "1", "unit_price": "1.00"}
    create = command("CreateOrder", order_id, {"cashier_id": "anna", "currency": "EUR"})
    cases = {
        "empty_order": command("ConfirmOrder", order_id),
        "unknown_line": command("RemoveItem", order_id, {"line_id": "9"}),
        "malformed": command("AddItem", order_id, {**item, "quantity": "-1"}),
        "price_too_fine": command("AddItem", order_id, {**item, "unit_price": "1.001"}),
        "order_not_found": command("AddItem", other, item),
        "version_conflict": command("AddItem", order_id, item, expectedversion="7"),
        "bad_key": {**command("AddItem", order_id, item), "key": b"another"},
    }
    ids = {dict(each["headers"])["ce_id"].decode(): code for code, each in cases.items()}
    accepted = command("AddItem", order_id, item, command_id=reused)
    again = command("AddItem", order_id, {**item, "quantity": "2"}, command_id=reused)
    await upstream.send([create, *cases.values(), accepted, again])

    records = await upstream.read("orders.outcomes", len(cases) + 3)
    refusals = {}
    for record in records:
        if headers_of(record)["ce_type"] == "orders.CommandRejected":
            answer = json.loads(record.value)
            assert answer["message"]
            refusals[headers_of(record)["ce_causationid"]] = answer
    assert {id_: refusals[id_]["code"] for id_ in ids} == ids
    assert refusals[reused]["code"] == "command_id_reused"
    malformed = next(id_ for id_, code in ids.items() if code == "malformed")
    assert refusals[malformed]["message"].startswith("quantity: ")
    events = await upstream.read("orders.events", 2)
    assert [headers_of(event)["ce_type"] for event in events] == ["orders.OrderCreated", "orders.ItemAdded"]


async def test_a_record_that_names_no_command_is_dead_lettered(
    installation: Installation, upstream: PlainClient
) -> None:
    """A record without id or tenant goes to the dead letters as received; the rest goes on."""
    await running(installation)
    order_id = str(uuid4())
    stray = {"key": b"\xff", "value": b"\x00not json", "headers": [("ce_type", b"orders.AddItem")]}
    await upstream.send([stray, command("CreateOrder", order_id, {"cashier_id": "a", "currency": "EUR"})])
    (letter,) = await upstream.read("orders.dead-letters", 1)
    attributes = headers_of(letter)
    assert (letter.key, letter.value) == (stray["key"], stray["value"])
    assert attributes["ce_type"] == "orders.AddItem"
    assert attributes["deadletter_topic"] == f"{installation.prefix}orders.commands"
    missing = ("id", "source", "tenantid", "subject", "actor", "time")
    wrong = ("specversion: must be 1.0", *(f"{name}: is required" for name in missing))
    assert attributes["deadletter_reason"] == "; ".join(wrong)
    assert attributes["deadletter_offset"].isdigit()
    assert len(await upstream.read("orders.outcomes", 1)) == 1
