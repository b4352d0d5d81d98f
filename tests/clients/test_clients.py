"""Kafka's clients and CloudEvents' SDKs of other makes, each with the same script."""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients.conftest import System
from clients.script import DISCOUNT, LIFE, MISTAKES, SUBTOTAL, TENANT, TOTAL, Script, Step
from clients.toolchains import go_program, java_program, javascript_program, python_program
from harness.plain_client import headers_of
from harness.whole_topics import whole_topics

# For who runs them the first time it downloads what they need, and compiles it.
pytestmark = pytest.mark.timeout(600)
_EVERY_CODEC = ("none", "gzip", "snappy", "lz4", "zstd")
_ACCEPTED, _REJECTED = "orders.CommandAccepted", "orders.CommandRejected"
_UNANSWERED = {"nothing", "dead letter"}
_ENDS_WITHIN = 90
_EVENTS = """
SELECT event_id, aggregate_id, version, 'orders.' || event_type AS type, payload::text
FROM order_events WHERE tenant_id = $1 AND aggregate_id = ANY($2) ORDER BY aggregate_id, version
"""
_OUTCOMES = "SELECT command_id, code, value FROM command_outcomes WHERE command_id = ANY($1)"


@dataclass(frozen=True)
class Client:
    """How its program is had, and what it can't do."""

    program: Callable[[Path], list[str]]
    codecs: tuple[str, ...] = _EVERY_CODEC
    sends_null: bool = True
    options: dict[str, Any] = field(default_factory=dict)


CLIENTS = {
    "confluent-kafka": Client(
        python_program, options={"api": "core", "options": {"partitioner": "murmur2_random"}}
    ),
    "cloudevents-v1": Client(
        python_program, options={"api": "v1", "options": {"partitioner": "murmur2_random"}}
    ),
    # It brings gzip, and by another package snappy.
    "kafkajs": Client(javascript_program, ("none", "gzip", "snappy"), sends_null=False),
    "franz-go": Client(go_program),
    "java": Client(java_program),
}


@dataclass(frozen=True)
class Ran:
    """What a client has sent, and what it has read."""

    script: Script
    outcomes: list[dict[str, Any]]
    events: list[dict[str, Any]]
    system: System


@pytest.fixture(scope="module", params=CLIENTS)
def ran(request: pytest.FixtureRequest, system: System, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Give what became of one client's script."""
    client = CLIENTS[request.param]
    steps = tuple(step for step in LIFE + MISTAKES if client.sends_null or not step.needs_null)
    script = Script(request.param, steps, client.codecs)
    job = {
        "bootstrap": system.installation.bootstrap_servers,
        "topic_prefix": system.installation.prefix,
        "name": request.param,
        "steps": script.told(),
        "outcomes": sum(step.expected not in _UNANSWERED for step in steps),
        "events": len(LIFE),
        **client.options,
    }
    done = subprocess.run(
        client.program(tmp_path_factory.mktemp("program")),
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=_ENDS_WITHIN,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    return Ran(script, read["outcomes"], read["events"], system)


def outcomes_of(ran: Ran, step: Step) -> list[dict[str, Any]]:
    return [each for each in ran.outcomes if each["causationid"] == str(ran.script.command_id(step))]


async def test_an_order_lives_its_whole_life(ran: Ran) -> None:
    """Every command of the life is accepted, in order, and the order comes to what plain arithmetic says."""
    accepted = [outcome for step in LIFE for outcome in outcomes_of(ran, step)[:1]]
    assert [outcome["type"] for outcome in accepted] == [_ACCEPTED] * len(LIFE), ran.outcomes
    sold = [step for step in LIFE if step.order == "sold"]
    assert [outcome["data"]["version"] for outcome in accepted] == [*range(1, len(sold) + 1), 1, 2]

    order = ran.script.id_of("sold")
    async with httpx.AsyncClient(base_url=ran.system.address) as http:
        answer = await http.get(f"/v1/orders/{order}", params={"min_version": len(sold), "timeout": 20})
    state = answer.json()
    assert (state["status"], state["version"]) == ("confirmed", len(sold))
    assert (state["subtotal"], state["discount"], state["total"]) == (SUBTOTAL, DISCOUNT, TOTAL)


async def test_it_reads_what_the_system_holds(ran: Ran) -> None:
    """Events and outcomes, read by its SDK, are those of the log: attributes, data and order."""
    orders = [ran.script.id_of(order) for order in ("sold", "voided")]
    commands = [ran.script.command_id(step) for step in ran.script.steps]
    async with ran.system.database() as conn:
        stored = await conn.fetch(_EVENTS, TENANT, orders)
        answered = await conn.fetch(_OUTCOMES, commands)
    events = sorted(ran.events, key=lambda event: (event["subject"], int(event["version"])))
    assert [
        (event["type"], event["id"], event["subject"], int(event["version"]), event["data"])
        for event in events
    ] == [
        (
            row["type"],
            str(row["event_id"]),
            str(row["aggregate_id"]),
            row["version"],
            json.loads(row["payload"]),
        )
        for row in stored
    ]
    by_command = {str(row["command_id"]): row for row in answered}
    first = {outcome["causationid"]: outcome for outcome in reversed(ran.outcomes)}
    assert first.keys() == by_command.keys()
    for command_id, outcome in first.items():
        assert outcome["data"] == json.loads(by_command[command_id]["value"])
        assert (outcome["type"] == _REJECTED) is (by_command[command_id]["code"] is not None)


async def test_its_mistakes_are_told(ran: Ran) -> None:
    """Each mistake gets the outcome, or the dead letter, that names the header or field and the rule."""
    installation = ran.system.installation
    async with whole_topics(installation.bootstrap_servers, installation.prefix) as topics:
        letters = {
            headers["deadletter_reason"]
            for letter in await topics.records("orders.dead-letters")
            if f"/clients/{ran.script.client}" in str(letter)
            for headers in [headers_of(letter)]
        }
    for step in ran.script.steps:
        answers = outcomes_of(ran, step)
        if step.expected == "accepted":
            assert {answer["type"] for answer in answers} & {_ACCEPTED}, step
        elif step.expected == "dead letter":
            assert any(step.told in reason for reason in letters), (step, letters)
        elif step.expected == "nothing":
            assert not answers, step
        else:
            refusal = answers[-1]
            assert refusal["type"] == _REJECTED, (step, refusal)
            assert refusal["data"]["code"] == step.expected, (step, refusal)
            assert refusal["data"]["message"].startswith(step.told), (step, refusal)


def test_a_repeat_gets_the_first_outcome(ran: Ran) -> None:
    """A command sent again has no second effect and the same outcome, whatever was asked under its id."""
    (again,) = (step for step in MISTAKES if step.name == "the same again")
    first, second, reused = outcomes_of(ran, again)
    assert first == second
    assert reused["data"]["code"] == "command_id_reused"


def test_its_commands_lie_where_their_order_belongs(ran: Ran) -> None:
    """With the option that docs/partitioning.md names, no command of it lies elsewhere."""
    _, metrics = ran.system.command_service.get("/metrics")
    assert re.findall(r"^tillstream_commands_elsewhere_total\{.*\} (.*)$", metrics, re.MULTILINE) == ["0.0"]
