"""A PostgreSQL and a hot standby of it, with our schema."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from harness.databases_ahead import ROLES, make_database
from harness.servers import FreshDatabase, PostgresServer
from harness.waiting import eventually
from local.servers import Postgres, free_port
from local.servers.postgres import postgres_tool

_DATABASE = "tillstream"
# The server's own user, where the tests run as root.
_NOBODY = 65534


@dataclass(frozen=True)
class PrimaryAndStandby:
    """The two servers, and the one database that both have."""

    primary: Postgres
    standby: Postgres

    @property
    def database(self) -> FreshDatabase:
        """The primary's."""
        return FreshDatabase(_DATABASE, PostgresServer(self.primary.dsn()))

    def dsn(self, role: str, *ports: int, target: str = "any") -> str:
        """Return the address of the database, for one of our roles, at some ports of this machine."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        one = self.database.dsn(role).replace(f"127.0.0.1:{self.primary.port}", hosts)
        return f"{one}?target_session_attrs={target}"

    async def replayed(self) -> None:
        """Wait until the standby has all that the primary has written."""
        primary = await asyncpg.connect(self.primary.dsn())
        written = await primary.fetchval("SELECT pg_current_wal_lsn()::text")
        await primary.close()
        standby = await asyncpg.connect(self.standby.dsn())
        await eventually(
            lambda: standby.fetchval("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", written)
        )
        await standby.close()


@contextmanager
def primary_and_standby(folder: Path) -> Iterator[PrimaryAndStandby]:
    """Give a pair; the standby cancels at once what is in its recovery's way."""
    with Postgres(folder / "primary", free_port()) as primary:
        asyncio.run(_make_database(primary.dsn()))
        standby = Postgres(folder / "standby", free_port(), settings={"max_standby_streaming_delay": 0})
        _back_up(primary, standby)
        with standby:
            yield PrimaryAndStandby(primary, standby)


async def _make_database(admin_dsn: str) -> None:
    server = PostgresServer(admin_dsn)
    passwords = {user: server.password(user) for user in (f"tillstream_{role}" for role in ROLES)}
    conn = await asyncpg.connect(admin_dsn)
    await make_database(conn, admin_dsn, _DATABASE, passwords)
    await conn.close()


def _back_up(primary: Postgres, standby: Postgres) -> None:
    standby.data_dir.mkdir(parents=True)
    shutil.copy(primary.data_dir / "password", standby.data_dir)
    # -R has it follow the primary.
    command = [postgres_tool("pg_basebackup"), "-d", primary.dsn(), "-D", str(standby.cluster), "-R"]
    subprocess.run([*command, "--checkpoint=fast", "--no-sync"], check=True)
    if os.geteuid() == 0:
        for path in (standby.cluster, *standby.cluster.rglob("*")):
            os.chown(path, _NOBODY, _NOBODY)
