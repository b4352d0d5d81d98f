"""What running services export and tell, against the alert rules, the dashboard and till lag."""

import asyncio
import json
import os
import signal
import sys
from uuid import uuid4

from prometheus_client.parser import text_string_to_metric_families

from harness.installation import Installation
from harness.plain_client import PlainClient, command
from harness.processes import ServiceProcess
from harness.till_process import till, till_settings
from harness.waiting import eventually
from readmodels import READ_MODELS
from unit.deploy.exported import TARGET_LABELS, expressions, selectors

CREATE = {"cashier_id": "anna", "currency": "EUR"}
JUNK = {"key": None, "value": b"not \x1b[31ma command", "headers": [("ce_type", b"orders.CreateOrder")]}
# Prometheus sees no rise in a series that begins with it.
THERE_FROM_THE_START = {
    ("tillstream_commands_total", "dead_lettered"),
    ("tillstream_commands_total", "set_aside"),
    ("tillstream_batch_retries_total", "orders.commands"),
    ("tillstream_batch_retries_total", "orders.events"),
}

# What is found out beside the work, every second or two, by each service in its own time.
_OLDEST = "tillstream_consumer_oldest_seconds"
LOOKED_AT = {
    "tillstream_consumer_held_seconds",
    "tillstream_consumer_lag_records",
    _OLDEST,
    "tillstream_query_read_model_behind",
    "tillstream_partition_held_back",
    "tillstream_records_set_aside",
    "tillstream_sources_set_aside",
}


def samples(process: ServiceProcess) -> list[tuple[str, dict[str, str], float]]:
    """Give name, labels and value of what a process exports."""
    status, body = process.get("/metrics")
    assert status == 200
    return [
        (sample.name, dict(sample.labels), sample.value)
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    ]


async def test_services_export_what_is_watched(installation: Installation, upstream: PlainClient) -> None:
    """Every series that an alert or the dashboard reads is exported, with its labels, by a service."""
    services = [
        installation.service("command_service"),
        installation.service("outbox_relay"),
        installation.service("projector", "sales"),
        installation.service("query_service", development_identity="store-1:anna:auditor"),
    ]
    await asyncio.gather(*(service.ready() for service in services))
    assert services[-1].get("/v1/sales")[0] == 200
    topics = {name: f"{installation.prefix}{name}" for name in ("orders.commands", "orders.events")}
    fresh = {
        (name, labels.get("result", labels.get("topic", "")).removeprefix(installation.prefix))
        for service in services
        for name, labels, _ in samples(service)
    }
    assert fresh >= THERE_FROM_THE_START

    await upstream.send([JUNK, command("CreateOrder", str(uuid4()), CREATE)])
    await asyncio.gather(upstream.read("orders.dead-letters", 1), upstream.read("orders.events", 1))

    async def all_there() -> bool:
        found: dict[str, set[str]] = {"up": set()}
        for service in services:
            for name, labels, _ in samples(service):
                found.setdefault(name, set()).update(labels)
        missing = {
            (name, label)
            for _, expression in expressions()
            for name, labels in selectors(expression)
            for label in [name, *labels]
            if name not in found or (label != name and label not in found[name] | TARGET_LABELS)
        }
        assert {name for name, _ in missing} <= LOOKED_AT, missing
        return not missing

    async def commands_looked_at() -> bool:
        found = {labels["topic"] for name, labels, _ in samples(services[0]) if name == _OLDEST}
        assert found <= {topics["orders.commands"]}
        return bool(found)

    await eventually(all_there)
    await eventually(commands_looked_at)
    assert ("tillstream_commands_total", {"result": "dead_lettered"}, 1.0) in samples(services[0])
    assert ("tillstream_ready", {"probe": "consumer"}, 1.0) in samples(services[2])


async def test_a_paused_read_model_is_told_everywhere(installation: Installation) -> None:
    """A pause is in /readyz of a service that stays ready, in its metrics and in till lag."""
    projector = await installation.service("projector", "sales").ready()
    await till(installation, "pause", "sales")

    async def told() -> bool:
        _, body = await asyncio.to_thread(projector.get, "/readyz")
        return json.loads(body)["states"] != {}

    await eventually(told)
    status, body = projector.get("/readyz")
    assert status == 200, body
    assert "paused by operator" in body
    assert ("tillstream_read_model_paused", {"read_model": "sales"}, 1.0) in samples(projector)
    lag = (await till(installation, "lag", "-o", "json"))["read_models"]
    assert lag.keys() == READ_MODELS.keys()
    assert lag["sales"]["state"] == "paused"
    (action,) = await till(installation, "actions", "-o", "json")
    assert (action["action"], action["result"]) == ("pause", "done")


async def test_lag_can_be_watched(installation: Installation) -> None:
    """`till lag --watch` shows rates once it has looked twice, and ends at Ctrl-C without an error."""
    projector = await installation.service("projector", "sales").ready()
    assert projector
    watching = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "till",
        "lag",
        "--watch",
        "--partitions",
        cwd=installation.folder,
        env={**os.environ, **till_settings(installation), "FORCE_COLOR": "1", "COLUMNS": "150"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert watching.stdout is not None
    seen = b""
    async with asyncio.timeout(60):
        while seen.count(b"Outbox") < 3:
            seen += await watching.stdout.read(4096)
    watching.send_signal(signal.SIGINT)
    _, error = await asyncio.wait_for(watching.communicate(), 30)
    assert (watching.returncode, error) == (0, b"")
    assert b"per second" in seen
    assert b"0.0" in seen
