"""A backup taken in mid-load, the database lost, and the way back: docs/recovery.md as a test."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest
from typer.testing import CliRunner

from harness.groups import expel
from harness.guarantees import assert_guarantees
from harness.installation import Installation
from harness.load import commands_of_orders
from harness.plain_client import PlainClient
from harness.processes import ServiceProcess
from harness.waiting import eventually
from harness.whole_topics import WholeTopics, whole_topics
from local.servers.postgres import postgres_tool
from readmodels import READ_MODELS
from till.app import app

WRITERS = [("command_service",), ("outbox_relay",)]
READERS = [("projector", name) for name in READ_MODELS]


class Place:
    """The installation's database, which can be backed up, lost and restored, and what runs on it."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self._dump = folder / "backup.dump"
        self._running: list[ServiceProcess] = []

    async def run(self, services: Iterable[Sequence[str]]) -> None:
        """Start services, in small batches, so that much is under way at any time."""
        started = [self.installation.service(*service, batch_records="20") for service in services]
        self._running += started
        try:
            await asyncio.gather(*(service.ready() for service in started))
        except AssertionError as error:
            for service in started:
                error.add_note(f"{service.name}: {service.get('/readyz')}\n{service.log[-2000:]}")
            raise

    async def lose(self) -> None:
        """Kill all services at once, and have Kafka forget them."""
        for service in self._running:
            service.process.kill()
        for service in self._running:
            service.process.wait()
        self._running.clear()
        for group in ("command_service", *(f"projector.{name}" for name in READ_MODELS)):
            await expel(self.installation.bootstrap_servers, f"{self.installation.prefix}{group}")

    async def back_up(self) -> None:
        """Take a backup while everything runs."""
        await self._tool("pg_dump", "--format=custom", "--create", f"--file={self._dump}", self._name)

    async def restore(self) -> None:
        """Drop the database and make it anew from the backup."""
        server = await asyncpg.connect(self._url("postgres"))
        await server.execute(f"DROP DATABASE {self._name} WITH (FORCE)")
        await server.close()
        await self._tool("pg_restore", "--create", "--exit-on-error", "--dbname=postgres", str(self._dump))

    @property
    def _name(self) -> str:
        return urlsplit(self.installation.database_url("postgres")).path[1:]

    def _url(self, database: str) -> str:
        return urlsplit(self.installation.database_url("postgres"))._replace(path=f"/{database}").geturl()

    async def _tool(self, name: str, *arguments: str) -> None:
        url = urlsplit(self._url("postgres"))
        environment = {
            **os.environ,
            "PGHOST": url.hostname or "",
            "PGPORT": str(url.port),
            "PGUSER": unquote(url.username or ""),
            "PGPASSWORD": unquote(url.password or ""),
        }
        done = await asyncio.to_thread(
            subprocess.run,
            [postgres_tool(name), *arguments],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    async def till(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run a verb; give its exit status and JSON answer."""
        result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "-o", "json"])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, json.loads(result.stdout)

    async def count(self, table: str) -> int:
        conn = await asyncpg.connect(self.installation.database_url("postgres"))
        try:
            return int(await conn.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608 - ours
        finally:
            await conn.close()

    async def reaches(self, outcomes: int) -> None:
        """Wait until so many commands are decided."""

        async def reached() -> bool:
            return await self.count("command_outcomes") >= outcomes

        await eventually(reached, deadline=150)


@pytest.fixture
async def place(
    installation: Installation, tmp_path: Path, servers: str, monkeypatch: pytest.MonkeyPatch
) -> Place:
    """Give an installation that can be backed up; its servers' own tools are needed."""
    if servers != "embedded":
        pytest.skip("the tools of the embedded server need not fit another one")
    for name, value in {
        "ADMIN_DATABASE_URL": installation.database_url("postgres"),
        "OPERATOR_DATABASE_URL": installation.database_url("operator"),
        "DATABASE_URL": installation.database_url("query"),
        "KAFKA_BOOTSTRAP_SERVERS": installation.bootstrap_servers,
        "TOPIC_PREFIX": installation.prefix,
    }.items():
        monkeypatch.setenv(f"TILLSTREAM_{name}", value)
    return Place(installation, tmp_path)


@pytest.fixture
async def topics(installation: Installation) -> AsyncIterator[WholeTopics]:
    async with whole_topics(installation.bootstrap_servers, installation.prefix) as looking:
        yield looking


@pytest.mark.timeout(900)
async def test_a_restore_loses_nothing_and_invents_nothing(
    place: Place, upstream: PlainClient, topics: WholeTopics
) -> None:
    """After a restore and `till recover` every command sent has its one outcome, and all agrees with the log.

    The backup is taken in mid-load; then all services are killed in mid-load and the database is dropped.
    """
    sent = commands_of_orders(60, seed=5)
    third = len(sent) // 3
    await place.run([*WRITERS, *READERS])
    await upstream.send(sent[:third])
    await place.reaches(third // 4)
    sending = asyncio.create_task(upstream.send(sent[third : 2 * third]))
    await place.back_up()
    await sending
    await place.reaches(third)
    await upstream.send(sent[2 * third :])
    await place.reaches(int(1.5 * third))
    await place.lose()
    events, published = await place.count("order_events"), sum((await topics.ends("orders.events")).values())
    await place.restore()
    kept = await place.count("order_events")
    assert kept < min(events, published), "the backup holds all: nothing was lost"

    for service in WRITERS:
        refused = place.installation.service(*service)
        assert await refused.ended() == 70, refused.log
        assert "service.refused" in refused.log
    status, dry = await place.till("recover")
    assert (status, dry["contradictions"]) == (0, [])
    assert dry["events"] > 0
    assert await place.count("order_events") == kept
    status, done = await place.till("recover", "--execute")
    assert (status, done["executed"]) == (0, True)

    await place.run([*WRITERS, *READERS])
    conn = await asyncpg.connect(place.installation.database_url("postgres"))
    try:
        await assert_guarantees(conn, topics, sent)
    finally:
        await conn.close()
    status, answer = await place.till("verify", "--topic")
    assert status == 0, answer["first"]
