"""`till rebuild` against running services, as an operator uses it."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from harness.guarantees import command_ids
from harness.installation import Installation
from harness.load import commands_of_orders
from harness.plain_client import PlainClient
from harness.till_process import run_till, till_settings
from harness.waiting import eventually
from readmodels import READ_MODELS


class Till:
    """Runs verbs with the operator's address: to their end, or as processes to be watched."""

    def __init__(self, installation: Installation) -> None:
        self._environment = {
            **os.environ,
            **till_settings(installation),
            "COLUMNS": "160",
        }
        self._folder = installation.folder

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "till", *arguments],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def __call__(self, *arguments: str, status: int = 0) -> str:
        done = await asyncio.to_thread(run_till, self._environment, self._folder, *arguments)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr


async def answered(admin: asyncpg.Connection, sent: Sequence[dict[str, Any]]) -> None:
    """Wait until all commands are answered."""

    async def so() -> bool:
        return int(await admin.fetchval("SELECT count(*) FROM command_outcomes")) >= len(command_ids(sent))

    await eventually(so, deadline=120.0)


async def test_an_operator_rebuilds_under_load_and_goes_back(
    installation: Installation, upstream: PlainClient, admin: asyncpg.Connection
) -> None:
    """A damaged row is named and repaired while commands go on; what was done is on the record."""
    till = Till(installation)
    services = [installation.service("command_service"), installation.service("outbox_relay")]
    services += [installation.service("projector", "order_summary")]
    await asyncio.gather(*(service.ready() for service in services))
    sent = commands_of_orders(120, seed=5)
    early, late = sent[: len(sent) // 2], sent[len(sent) // 2 :]
    await upstream.send(early)
    await answered(admin, early)
    await till("verify", "order_summary")
    keys = [{each["key"] for each in some} for some in (early, late)]
    damaged = min(keys[0] - keys[1]).decode()
    await admin.execute(
        "UPDATE projections.order_summary_1 SET cashier_id = 'nobody' WHERE order_id = $1", UUID(damaged)
    )
    loading = asyncio.create_task(upstream.send(late))
    printed = await till("rebuild", "order_summary", "--note", "a cashier is wrong")
    await loading
    assert "Generation 2 of order_summary is live." in printed
    assert re.search(rf"order_summary, changed: .*order_id {damaged}", printed)
    assert re.search(r"cashier id +nobody +", printed) or re.search(r"cashier_id +nobody +", printed)
    await answered(admin, sent)
    await till("verify", "order_summary")

    assert "Generation 1 of order_summary is live." in await till("rebuild", "order_summary", "--rollback")
    assert damaged in await till("verify", "order_summary", status=1)
    assert "Dropped: generation 2." in await till("rebuild", "order_summary", "--clean-up")
    assert "No generation of order_summary is kept" in await till(
        "rebuild", "order_summary", "--rollback", status=1
    )
    record = await admin.fetch(
        "SELECT action, arguments, outcome, details FROM operations.actions"
        " LEFT JOIN operations.results ON action_id = id WHERE action LIKE 'rebuild%' ORDER BY id"
    )
    assert [(row["action"], row["outcome"]) for row in record] == [
        ("rebuild", "done"),
        ("rebuild --rollback", "done"),
        ("rebuild --clean-up", "done"),
        ("rebuild --rollback", "failed"),
    ]
    assert json.loads(record[0]["arguments"])["note"] == "a cashier is wrong"
    assert json.loads(record[0]["details"])["changed"] == 1


async def test_a_watcher_may_leave_and_a_build_be_cancelled(
    installation: Installation, upstream: PlainClient, admin: asyncpg.Connection
) -> None:
    """Ctrl-C leaves a build running and says so; another is refused; `--cancel` ends it for good."""
    till = Till(installation)
    services = [installation.service("command_service"), installation.service("outbox_relay")]
    projector = installation.service("projector", "sales")
    await asyncio.gather(*(service.ready() for service in [*services, projector]))
    sent = commands_of_orders(250, seed=6)
    await upstream.send(sent)

    await answered(admin, sent)
    watcher = till.start("rebuild", "sales", "--throttle", "1")

    async def scanning() -> bool:
        return bool(await admin.fetchval("SELECT count(*) FROM operations.builds WHERE orders_done > 0"))

    await eventually(scanning)
    watcher.send_signal(signal.SIGINT)
    _, told = await asyncio.to_thread(watcher.communicate, timeout=60)
    assert watcher.returncode == 130
    assert "It goes on without us" in told
    refused = await till("rebuild", "sales", status=1)
    assert re.search(r"A rebuild of sales is under way by \S+@\S+ since .*: scanning", refused)
    assert "was cancelled" in await till("rebuild", "sales", "--cancel")
    # The version till knows must run: without a projector it says so.
    assert await projector.stop() == 0
    waiting = till.start("rebuild", "sales")
    line = await asyncio.to_thread(_line_with, waiting, "No projector works at it")
    assert f"version {READ_MODELS['sales'].version}" in line
    installation.service("projector", "sales")
    out, _ = await asyncio.to_thread(waiting.communicate, timeout=120)
    assert "is live" in out
    tables = await admin.fetch("SELECT relname FROM pg_class WHERE relname ~ '^sales_.*_orders$'")
    assert sorted(row["relname"] for row in tables) == ["sales_1_orders", "sales_3_orders"]


def _line_with(process: subprocess.Popen[str], text: str) -> str:
    assert process.stderr is not None
    return next(line for line in process.stderr if text in line)
