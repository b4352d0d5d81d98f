import asyncio
import socket
from pathlib import Path

import asyncpg
import psutil
import pytest

from local.servers import Postgres, free_port


def ask(dsn: str, query: str) -> str:
    """Ask one value as text over a connection of its own."""

    async def run() -> str:
        connection = await asyncpg.connect(dsn)
        try:
            return str(await connection.fetchval(query))
        finally:
            await connection.close()

    return asyncio.run(run())


def test_starts_with_the_settings_that_guarantees_stand_on(tmp_path: Path) -> None:
    """The server is PostgreSQL 18, keeps commits on disk, and lets nobody in without a SCRAM password."""
    with Postgres(tmp_path / "postgres", free_port()) as server:
        for setting, value in {
            "server_version_num / 10000": "18",
            "fsync": "on",
            "synchronous_commit": "on",
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
        }.items():
            name, _, divisor = setting.partition(" / ")
            query = f"SELECT current_setting('{name}')" + (f"::int / {divisor}" if divisor else "")
            assert ask(server.dsn(), query) == value
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(server.dsn(password="wrong"), "SELECT 1")  # noqa: S106 - it is no password
        assert (
            ask(server.dsn(), "SELECT bool_and(auth_method = 'scram-sha-256') FROM pg_hba_file_rules")
            == "True"
        )
        assert (tmp_path / "postgres" / "password").stat().st_mode & 0o077 == 0


def test_restart_keeps_data_and_port(tmp_path: Path) -> None:
    """What was committed before a restart is there after it, at the same address."""
    server = Postgres(tmp_path / "postgres")
    with server:
        port = server.port
        ask(server.dsn(), "CREATE TABLE kept AS SELECT 42 AS value")
    again = Postgres(tmp_path / "postgres")
    with again:
        assert again.port == port
        assert ask(again.dsn(), "SELECT value FROM kept") == "42"


def test_another_port_when_the_kept_one_is_taken(tmp_path: Path) -> None:
    """A server whose port somebody else has taken meanwhile moves to a free one."""
    server = Postgres(tmp_path / "postgres")
    server.data_dir.mkdir()
    (server.data_dir / "port").write_text(str(free_port()))
    server.prepare()
    with socket.socket() as rival:
        rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        rival.bind(("127.0.0.1", server.port))
        rival.listen()
        with Postgres(tmp_path / "postgres") as moved:
            assert moved.port != server.port
            assert ask(moved.dsn(), "SELECT 1") == "1"


def test_stop_leaves_no_process(tmp_path: Path) -> None:
    """After `stop` neither the server nor any of its workers is alive."""
    server = Postgres(tmp_path / "postgres", free_port())
    server.start()
    assert server.pid is not None
    process = psutil.Process(server.pid)
    family = [process, *process.children(recursive=True)]
    assert len(family) > 1
    server.stop()
    assert not any(member.is_running() for member in family)
