"""Commands over HTTP, on a real Kafka and a real PostgreSQL."""

import asyncio
import json
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from aiokafka.errors import KafkaTimeoutError

from commands import ORDERS, REJECTED, outcome_id, read_request
from harness.installation import Installation
from harness.plain_client import headers_of, plain_client
from harness.waiting import eventually
from integration.query_service_live.following import LiveService
from messaging import Message, SharedProducer
from query_service.commands import Told

ITEM = {"product_id": "p-1", "name": "Tea", "quantity": "2", "unit_price": "1.50"}


def body(kind: str, data: Any = None, **fields: Any) -> dict[str, Any]:
    return {
        "command_id": str(uuid4()),
        "order_id": str(uuid4()),
        "type": kind,
        "data": {} if data is None else data,
        **fields,
    }


def create(**fields: Any) -> dict[str, Any]:
    return body("CreateOrder", {"cashier_id": "anna", "currency": "EUR"}, **fields)


async def commands_sent(live: LiveService, count: int) -> list[Any]:
    """Give what is on orders.commands, once there is so much."""
    settings = live.service.settings
    async with plain_client(settings.kafka_bootstrap_servers, settings.topic_prefix) as client:
        return await client.read("orders.commands", count)


@pytest.fixture
async def answered(live: LiveService, database: Any, tmp_path: Path) -> Any:
    """Give the query service with a command service and a relay beside it."""
    settings = live.service.settings
    with ExitStack() as stack:
        town = Installation(
            settings.kafka_bootstrap_servers, settings.topic_prefix, database.dsn, tmp_path, stack
        )
        services = [town.service(name) for name in ("command_service", "outbox_relay")]
        for service in services:
            await service.ready()
        yield live


async def test_a_command_gets_its_outcome(answered: LiveService) -> None:
    """Accepted is 200 with the version, rejected 422 with the code; repeats are answered the same."""
    created = create()
    order_id = created["order_id"]
    async with answered.client("cashier") as client:

        async def send(what: dict[str, Any]) -> httpx.Response:
            return await client.post("/v1/commands", json=what, params={"timeout": 30})

        first = await send(created)
        assert first.status_code == 200, first.text
        outcome = first.json()
        assert (outcome["status"], outcome["version"], outcome["actor"]) == ("accepted", 1, "anna")
        assert outcome["command_id"] == created["command_id"]
        assert len(outcome["event_ids"]) == 1
        again = await send(created)
        assert (again.status_code, again.json()) == (200, outcome)
        shown = await client.get(f"/v1/commands/{created['command_id']}")
        assert shown.json() == outcome

        conflict = await send(body("AddItem", ITEM, order_id=order_id, expected_version=7))
        assert (conflict.status_code, conflict.headers["content-type"]) == (422, "application/problem+json")
        assert (conflict.json()["type"], conflict.json()["code"]) == (
            "/problems/command-rejected",
            "version_conflict",
        )

        reused = await send({**created, "data": {"cashier_id": "bob", "currency": "EUR"}})
        assert (reused.status_code, reused.json()["code"]) == (422, "command_id_reused")

        # At the same time under one id: each body gets the answer to itself.
        one = body("AddItem", ITEM, order_id=order_id)
        other = {**one, "data": {**ITEM, "quantity": "3"}}
        answers = await asyncio.gather(*(send(each) for each in [one, other] * 4))
        statuses = [answer.status_code for answer in answers]
        assert sorted(set(zip([True, False] * 4, statuses, strict=True))) in (
            [(False, 200), (True, 422)],
            [(False, 422), (True, 200)],
        )
        assert {answer.json().get("code") for answer in answers} == {None, "command_id_reused"}


async def test_what_the_topic_tells_is_not_asked_of_the_database(
    answered: LiveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outcome that came for this very command is the answer, as a question for it would tell it later."""
    created = create(occurred_at="2026-03-01T12:00:00.123456789+01:00")
    order_id, at = created["order_id"], {"occurred_at": "2026-03-01T12:01:00Z"}
    commands = [
        created,
        created,
        {**created, **at, "data": {"cashier_id": "bob", "currency": "EUR"}},
        body("ConfirmOrder", order_id=order_id, **at),
        body("AddItem", ITEM, order_id=order_id, **at),
    ]
    async with answered.client() as client:
        with monkeypatch.context() as without:
            without.setattr("query_service.routes.commands._stored", None)
            answers = [
                await client.post("/v1/commands", json=each, params={"timeout": 30}) for each in commands
            ]
        assert [answer.status_code for answer in answers] == [200, 200, 422, 422, 200]
        for sent, answer in zip(commands, answers, strict=True):
            if answer.is_success:
                assert (await client.get(f"/v1/commands/{sent['command_id']}")).json() == answer.json()


async def test_no_more_commands_are_taken_than_may_be_in_hand(new_service: Any) -> None:
    """Past the bound a command is refused before it is sent, with 429 and when to come back."""
    live = await new_service(commands_in_hand=4)
    async with live.client() as client, live.client(tenant="store-2") as elsewhere:
        waiting = [
            asyncio.create_task(client.post("/v1/commands", json=create(), params={"timeout": 30}))
            for _ in range(2)
        ]
        await commands_sent(live, 2)
        refused = await client.post("/v1/commands", json=create())
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-commands")
        assert int(refused.headers["retry-after"]) > 0
        other = await elsewhere.post("/v1/commands", json=create(), params={"timeout": 0})
        assert other.status_code == 202
        assert len(await commands_sent(live, 3)) == 3
        live.service.stopping.set()
        ended = await asyncio.gather(*waiting)
        assert [answer.status_code for answer in ended] == [202, 202]


async def test_a_command_takes_the_way_of_every_command(live: LiveService) -> None:
    """What is put on Kafka has the token's tenant and actor, the order as its key, and exact numbers."""
    sent = body(
        "AddItem",
        {**ITEM, "quantity": 0.1, "unit_price": 12},
        expected_version=3,
        occurred_at="2026-03-01T12:00:00+01:00",
        correlation_id="sale 7",
    )
    async with live.client("manager", tenant="store-9", actor="mia") as client:
        pending = await client.post("/v1/commands", json=sent, params={"timeout": 0})
        assert pending.status_code == 202
        assert pending.headers["location"] == f"/v1/commands/{sent['command_id']}"
        assert pending.json() == {
            "command_id": sent["command_id"],
            "order_id": sent["order_id"],
            "status": "pending",
        }
    (record,) = await commands_sent(live, 1)
    assert record.key == sent["order_id"].encode()
    assert headers_of(record) == {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_source": "/query_service",
        "ce_time": "2026-03-01T12:00:00+01:00",
        "ce_tenantid": "store-9",
        "ce_actor": "mia",
        "ce_id": sent["command_id"],
        "ce_subject": sent["order_id"],
        "ce_type": "orders.AddItem",
        "ce_correlationid": "sale 7",
        "ce_expectedversion": "3",
    }
    assert json.loads(record.value) == {**ITEM, "quantity": "0.1", "unit_price": "12"}


HUGE = int("9" * 4000)


WRONG_FIELDS: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"command_id": None}, {"body.command_id": "is required"}),
    ({"command_id": "7"}, {"body.command_id": "must be a UUID"}),
    ({"order_id": f"{{{uuid4()}}}"}, {"body.order_id": "must be a UUID"}),
    (
        {"order_id": 7, "tenant": "x"},
        {"body.order_id": "must be a string", "body.tenant": "is not a field"},
    ),
    ({"type": "Nonsense"}, {"body.type": "Nonsense is not a command"}),
    ({"data": []}, {"body.data": "must be a JSON object"}),
    ({"expected_version": True}, {"body.expected_version": "must be a whole number"}),
    ({"expected_version": 1.0}, {"body.expected_version": "must be a whole number"}),
    ({"expected_version": -1}, {"body.expected_version": "must be a whole number from 0"}),
    ({"expected_version": 2**31}, {"body.expected_version": "must be a whole number from 0"}),
    ({"expected_version": HUGE}, {"body.expected_version": "must be a whole number from 0"}),
    ({"occurred_at": "2026-03-01T12:00:00"}, {"body.occurred_at": "must be a time with an offset"}),
    ({"correlation_id": "a\nb"}, {"body.correlation_id": "must be 1 to 128 printable characters"}),
    (
        {"data": {**ITEM, "quantity": "0", "price": 1, "name": "\x00"}},
        {
            "body.data.quantity": "must be greater than 0",
            "body.data.price": "is not a field of AddItem",
            "body.data.name": "must have no control characters",
        },
    ),
]


async def test_a_body_that_makes_no_sense_is_refused(live: LiveService) -> None:
    """Each wrong field is named with its rule, in the domain's own words, and nothing is sent."""
    async with live.client() as client:
        for changes, errors in WRONG_FIELDS:
            sent = json.dumps({**body("AddItem", ITEM), **changes})
            answer = await client.post(
                "/v1/commands", content=sent, headers={"Content-Type": "application/json"}
            )
            assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
            told = {error["field"]: error["rule"] for error in answer.json()["errors"]}
            assert told.keys() == errors.keys()
            assert all(told[field].startswith(rule) for field, rule in errors.items()), told
        sent = json.dumps(create())
        answer = await client.post(
            "/v1/commands?timeout=0",
            content=sent,
            headers={"Content-Type": "Application/JSON; charset=utf-8"},
        )
        assert answer.status_code == 202
    assert len(await commands_sent(live, 1)) == 1


NO_BODIES = [
    (b"", "application/json", 400),
    (b"[]", "application/json", 400),
    (b'{"type":', "application/json", 400),
    (b'{"type":"AddItem","type":"AddItem"}', "application/json", 400),
    (b"[" * 60_000, "application/json", 400),
    (b'{"expected_version":' + b"9" * 50_000 + b"}", "application/json", 400),
    (b'{"type":"\xff"}', "application/json", 400),
    (b'{"\\ud800":1}', "application/json", 400),
    (b"{}", "text/plain", 415),
    (b"type=AddItem", "application/x-www-form-urlencoded", 415),
    (b'{"a":"' + b"x" * 70_000 + b'"}', "application/json", 413),
]


async def test_a_body_that_is_none_is_refused(live: LiveService) -> None:
    """What can't be read as JSON of a bounded size gets a clean refusal."""
    async with live.client() as client:
        for content, content_type, status in NO_BODIES:
            answer = await client.post(
                "/v1/commands", content=content, headers={"Content-Type": content_type}
            )
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.status_code == status, content[:40]


async def test_what_kafka_does_not_acknowledge_is_not_pretended(
    live: LiveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed send is 503, says when to try again, and the next command goes out."""

    async def refuse(_producer: SharedProducer, _message: Message) -> None:
        raise KafkaTimeoutError

    async with live.client() as client:
        with monkeypatch.context() as failing:
            failing.setattr(SharedProducer, "send", refuse)
            answer = await client.post("/v1/commands", json=create())
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        assert int(answer.headers["retry-after"]) > 0
        again = await client.post("/v1/commands", json=create(), params={"timeout": 0})
        assert again.status_code == 202
    assert len(await commands_sent(live, 1)) == 1


async def test_without_kafka_commands_are_refused_and_questions_answered(new_service: Any) -> None:
    """Where outcomes can't be seen nothing is sent, the states say so, and the service stays ready."""
    live = await new_service(kafka_bootstrap_servers="127.0.0.1:1", ready=False)
    async with live.client() as client:
        answer = await client.post("/v1/commands", json=create())
        assert (answer.status_code, answer.json()["detail"]) == (
            503,
            "Nothing was sent: Kafka does not answer.",
        )
        assert (await client.get("/v1/events")).status_code == 503

        async def ready() -> bool:
            return (await client.get("/readyz")).status_code == 200

        await eventually(ready)
        states = (await client.get("/readyz")).json()["states"]
        assert states.keys() == {"live_events", "outcomes"}


async def test_an_answer_to_another_body_is_not_taken_for_ones_own(live: LiveService, database: Any) -> None:
    """An outcome under the same id counts only where the stored command is the same."""
    sent = create()
    conn = await asyncpg.connect(database.dsn())
    sending = live.service.sender
    held: list[Message] = []

    async def hold(message: Message) -> None:
        held.append(message)

    sending.send = hold  # type: ignore[method-assign] # answered by hand below
    async with live.client() as client:
        asking = asyncio.create_task(client.post("/v1/commands", json=sent, params={"timeout": 5}))

        async def waits() -> Any:
            return next(iter(live.service.outcomes._waiting.values()), None)

        (waiting,) = await eventually(waits)
        told = Told({"version": 1, "event_ids": []}, datetime.now(UTC), None)
        await conn.execute(
            "INSERT INTO command_outcomes (tenant_id, command_id, aggregate_id, command_type, actor,"
            " fingerprint, version, headers, value, recorded_at) VALUES ('store-1', $1, $2, 'CreateOrder',"
            " 'anna', $3, 1, '[]', '{}', now())",
            sent["command_id"],
            sent["order_id"],
            b"x" * 32,
        )
        await conn.close()
        # Another's, or one of an earlier build, or to yet another body.
        for _ in range(2):
            waiting.see(str(uuid4()), told)
        refusal = {"code": "command_id_reused", "message": "to this body"}
        record: Any = held[0]
        request = read_request(record, ORDERS, {})
        waiting.see(outcome_id(request, REJECTED, reused=True), told._replace(data=refusal))
        answer = await asking
    assert (answer.status_code, answer.json()["detail"]) == (422, "to this body")
    assert len(held) == 1
