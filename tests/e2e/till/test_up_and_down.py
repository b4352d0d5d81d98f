import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from dotenv import dotenv_values

from local.supervisor import MARK

TILL = [sys.executable, "-m", "till"]
NAMES = ["postgres", "kafka", "command_service", "outbox_relay", "projector", "query_service"]


def till(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end in a folder."""
    return subprocess.run(
        [*TILL, *arguments], cwd=folder, check=False, capture_output=True, text=True, timeout=180
    )


def ours(folder: Path) -> list[psutil.Process]:
    """Give the processes that a supervisor of this folder started."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(folder / ".tillstream"):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


async def ask(dsn: str, query: str) -> object:
    """Ask one value over a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def topics(bootstrap_servers: str) -> set[str]:
    """Give the cluster's topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


async def status(url: str) -> str:
    """Give the status line of a GET."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return line.decode().split(" ", 1)[1].strip()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder to run everything in; nothing runs there after the test."""
    yield tmp_path
    till(tmp_path, "down")


def test_detached_until_down(folder: Path) -> None:
    """`till up --detach` gives working addresses and is harmless twice; `till down` leaves no process."""
    up = till(folder, "up", "--detach", "-o", "json")
    assert up.returncode == 0, up.stderr
    assert [row["name"] for row in json.loads(up.stdout)] == NAMES

    env_file = folder / ".tillstream" / "env"
    assert env_file.stat().st_mode & 0o077 == 0
    env = {name: value or "" for name, value in dotenv_values(env_file).items()}
    assert not any(name.startswith("TILLSTREAM_") for name in env), "these are for other people's clients"
    assert asyncio.run(ask(env["POSTGRES_DSN"], "SELECT count(*) FROM read_models.order_summary")) == 0
    assert "orders.commands" in asyncio.run(topics(env["KAFKA_BOOTSTRAP_SERVERS"]))
    for name in NAMES[2:]:
        assert asyncio.run(status(env[f"{name.upper()}_URL"])) == "200 OK"

    again = till(folder, "up", "--detach", "-o", "json")
    assert "up already" in again.stderr
    assert again.stdout == up.stdout

    down = till(folder, "down", "-o", "json")
    assert json.loads(down.stdout) == {"stopped": NAMES}
    assert ours(folder) == []
    assert not env_file.exists()
    assert "Nothing is running here" in till(folder, "down").stderr


def test_in_the_foreground_after_a_killed_supervisor(folder: Path) -> None:
    """A supervisor that was killed doesn't hinder the next `till up`, and Ctrl-C stops everything."""
    assert till(folder, "up", "--detach").returncode == 0
    os.kill(int((folder / ".tillstream" / "supervisord.pid").read_text()), signal.SIGKILL)
    env_file = folder / ".tillstream" / "env"
    before = env_file.stat().st_mtime_ns
    with (folder / "up.out").open("w") as out:
        up = subprocess.Popen([*TILL, "up"], cwd=folder, stdout=out, stderr=out)
    deadline = time.monotonic() + 180
    while not env_file.exists() or env_file.stat().st_mtime_ns == before:
        assert up.poll() is None, (folder / "up.out").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    up.send_signal(signal.SIGINT)
    assert up.wait(120) == 0, (folder / "up.out").read_text()
    assert ours(folder) == []


def test_a_verb_says_that_nothing_is_up(tmp_path: Path) -> None:
    """A verb that needs servers ends with one line and what to do next, not with a stack."""
    migrate = till(tmp_path, "migrate")
    assert migrate.returncode == 1
    assert "till up" in migrate.stderr
    assert "Traceback" not in migrate.stderr
