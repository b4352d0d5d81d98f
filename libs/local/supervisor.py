"""Starts, asks and stops supervisord, and ends what a killed one left behind."""

import http.client
import json
import os
import subprocess
import sys
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import psutil

from local.home import Home
from local.servers import LocalServerError, dying_with_parent

# In the environment of everything that supervisord starts: tells our processes from all others.
MARK = "TILLSTREAM_SUPERVISED_IN"
_STOP_SECONDS = 90.0
# Meant for the person's own shell or for other programs; ours get their own of the supervisor's file.
_OWN_SETTINGS = (
    "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS",
    "TILLSTREAM_DATABASE_URL",
    "TILLSTREAM_ADMIN_DATABASE_URL",
    "TILLSTREAM_ROLE_PASSWORDS",
    "TILLSTREAM_HTTP_PORT",
    "TILLSTREAM_HTTP_HOST",
)


@dataclass(frozen=True)
class Supervisor:
    """A supervisord that runs, as `state.json` remembers it."""

    pid: int
    # The process's start, in seconds since 1970: a pid alone may be somebody else's by now.
    started: float
    port: int
    password: str
    # Program → where it answers.
    addresses: Mapping[str, str]

    @classmethod
    def running(cls, home: Home) -> Self | None:
        """Give the one that runs over this folder, None when there is none."""
        try:
            supervisor = cls(**json.loads(home.state.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return supervisor if supervisor.is_alive() else None

    @classmethod
    def start(
        cls, home: Home, *, port: int, password: str, addresses: Mapping[str, str], with_us: bool
    ) -> Self:
        """Start supervisord over the written configuration and note it.

        `with_us` ends it with this process, however that ends; else it outlives us.
        """
        command = [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(home.config)]
        environment = {name: value for name, value in os.environ.items() if name not in _OWN_SETTINGS}
        process = subprocess.Popen(  # noqa: S603 - our own command
            dying_with_parent(command) if with_us else command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**environment, MARK: str(home.folder)},
            # Ctrl-C is for us: we then stop it in order.
            start_new_session=True,
        )
        started = psutil.Process(process.pid).create_time()
        supervisor = cls(process.pid, started, port, password, dict(addresses))
        home.write_private(home.state, json.dumps(asdict(supervisor)))
        return supervisor

    def is_alive(self) -> bool:
        """Say whether the process runs."""
        try:
            process = psutil.Process(self.pid)
            return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - self.started) < 1
        except psutil.NoSuchProcess:
            return False

    def states(self) -> dict[str, str]:
        """Give each process's state (RUNNING, BACKOFF, FATAL …); {} while supervisord starts."""
        try:
            infos: Any = self._rpc().supervisor.getAllProcessInfo()
        except (OSError, http.client.HTTPException):
            return {}
        return {info["name"]: info["statename"] for info in infos}

    def start_group(self, name: str) -> None:
        """Have all programs of a group started, without waiting for them."""
        self._rpc().supervisor.startProcessGroup(name, False)

    def stop(self) -> None:
        """Stop the services, then the servers, then supervisord itself; returns when all have ended."""
        try:
            process = psutil.Process(self.pid)
            process.terminate()
            process.wait(_STOP_SECONDS)
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired:
            raise LocalServerError(
                f"supervisord (pid {self.pid}) did not stop within {_STOP_SECONDS:.0f} s.",
                "Look into .tillstream/logs, then run `till down` again.",
            ) from None

    def _rpc(self) -> Any:  # noqa: ANN401 - the library's proxy has no types
        # Our own server of 127.0.0.1; its answers are as trustworthy as the file that starts it.
        return xmlrpc.client.ServerProxy(f"http://till:{self.password}@127.0.0.1:{self.port}/RPC2")


def end_orphans(home: Home) -> list[str]:
    """End what an earlier supervisord of this folder left running, and give the names of those processes.

    Only processes that carry our mark with this folder in their environment are touched. To be called when no
    supervisor of this folder runs.
    """
    orphans = [process for process in psutil.process_iter() if _is_ours(process, home)]
    names = sorted({_name(process) for process in orphans})
    for process in orphans:
        _signal(process, kill=False)
    _, stubborn = psutil.wait_procs(orphans, timeout=30)
    for process in stubborn:
        _signal(process, kill=True)
    psutil.wait_procs(stubborn, timeout=10)
    return names


def _is_ours(process: psutil.Process, home: Home) -> bool:
    try:
        return process.environ().get(MARK) == str(home.folder)
    except (psutil.Error, OSError):
        # Gone meanwhile, or another user's, which can't be ours.
        return False


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return "a process that has ended"


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        pass
