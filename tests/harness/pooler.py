"""A real PgBouncer, where the machine has one."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import pytest

from harness.waiting import eventually
from local.servers import free_port
from local.servers.server import dying_with_parent

# A distribution puts it where only administrators look.
_PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")


@asynccontextmanager
async def pgbouncer(folder: Path, dsn: str, mode: str, *, size: int = 20) -> AsyncIterator[str]:
    """Give the address of the database behind a pooler in that mode; skip the test where there is none.

    As usual, it ignores parameters that clients start with.
    """
    if _PROGRAM is None:
        pytest.skip("there is no pgbouncer on the PATH: apt-get install pgbouncer")
    parts, port = urlsplit(dsn), free_port()
    process = await asyncio.create_subprocess_exec(
        *_command(_PROGRAM, folder, parts, port, f"pool_mode = {mode}\ndefault_pool_size = {size}"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await eventually(lambda: _listens(port))
        yield urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}"))
    finally:
        process.terminate()
        await process.wait()


def _command(program: str, folder: Path, parts: SplitResult, port: int, pool: str) -> list[str]:
    folder.mkdir()
    users, settings = folder / "users", folder / "pgbouncer.ini"
    users.write_text(f'"{parts.username}" "{unquote(parts.password or "")}"\n')
    settings.write_text(
        f"""
[databases]
* = host={parts.hostname} port={parts.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
{pool}
ignore_startup_parameters = extra_float_digits,idle_in_transaction_session_timeout,statement_timeout,jit
"""
    )
    command = dying_with_parent([program, "--quiet", str(settings)])
    if os.geteuid() != 0:
        return command
    # It refuses root. What it reads, it reads by the right that is kept.
    user = ["--reuid=65534", "--regid=65534", "--clear-groups"]
    return ["setpriv", *user, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--", *command]


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
