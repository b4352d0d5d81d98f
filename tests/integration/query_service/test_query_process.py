"""The query service as a process: its start, its probes, its end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.processes import ServiceProcess
from harness.waiting import eventually
from integration.query_service.conftest import AUDIENCE, ISSUER, Issuer
from integration.query_service.town import OURS, SOLD
from runtime import EXIT_FATAL


@pytest.fixture
def settings(town: Any, issuer: Issuer) -> dict[str, str]:
    """Give the settings of a service over the town, without a Kafka."""
    return {
        "database_url": town.dsn("query_service"),
        "kafka_bootstrap_servers": "127.0.0.1:1",
        "jwt_keys": issuer.key_set,
        "jwt_issuer": ISSUER,
        "jwt_audience": AUDIENCE,
    }


@pytest.fixture
def process(tmp_path: Path, settings: dict[str, str]) -> Iterator[ServiceProcess]:
    """Give a service that lets in who sends no token."""
    identity = f"{OURS}:dev:auditor"
    with ServiceProcess(
        tmp_path, "query_service", afresh=True, **settings, development_identity=identity
    ) as made:
        yield made


async def test_it_answers_tells_how_it_is_and_ends_when_asked(process: ServiceProcess) -> None:
    """Without Kafka it answers all that needs none, and says what is missing; SIGTERM ends it with 0."""

    async def answers() -> bool:
        return process.get("/healthz") == (200, '{"alive":true}') and process.get("/v1/orders")[0] == 200

    await eventually(answers)
    status, body = process.get(f"/v1/orders/{SOLD}")
    assert (status, json.loads(body)["total"]) == (200, "4.77")
    status, body = process.get("/readyz")
    assert (status, json.loads(body)["states"].keys()) == (200, {"live_events", "outcomes"})
    metrics = process.get("/metrics")[1]
    assert 'tillstream_http_request_seconds_count{route="show_order",status="200"} 1.0' in metrics
    assert await process.stop() == 0
    lines = [json.loads(line) for line in process.log.splitlines()]
    (warned,) = [line for line in lines if line["event"] == "access.development_identity"]
    assert (warned["level"], warned["actor"]) == ("warning", "dev")
    requests = [line for line in lines if line["event"] == "http.request"]
    assert all((line["tenant"], line["development"]) == (OURS, True) for line in requests)
    assert str(SOLD) not in process.log


async def test_it_does_not_start_with_keys_that_cannot_be_used(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    """A key set with a shared secret in it ends the service at once, and is not quoted."""
    wrong: dict[str, Any] = settings | {"jwt_keys": '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'}
    with ServiceProcess(tmp_path, "query_service", **wrong) as process:
        assert await process.ended() == EXIT_FATAL
        assert "neither RSA nor EC" in process.log
        assert "c2VjcmV0" not in process.log
