"""A server that runs as one process on this machine: prepared, started, waited for, stopped."""

import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from local.servers.errors import StartError
from local.servers.ports import free_port, is_free, kept_port

# Far more than it takes: a busy machine is no failure.
_START_SECONDS = 180.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.02


def dying_with_parent(command: list[str], stop_signal: signal.Signals = signal.SIGTERM) -> list[str]:
    """Give the command that runs `command` and gets `stop_signal` when the process that started it ends.

    So even a parent that was killed leaves nothing behind. Only Linux can do that (PR_SET_PDEATHSIG, which
    `setpriv` sets); elsewhere the command is given back as it is. A later change of user would undo it, so
    this goes innermost.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", stop_signal.name[3:], "--", *command] if setpriv else command


class LocalServer(ABC):
    """One server over one data folder.

    A supervisor calls `prepare` and runs `command`; a test uses `with server:` or `start` and `stop`. Either
    way the server ends with the process that started it. `port` is fixed by `prepare`: the one asked for,
    else the one this folder had, else the usual one, else a free one.
    """

    name: ClassVar[str]
    usual_port: ClassVar[int]
    stop_signal: ClassVar[signal.Signals]

    def __init__(
        self, data_dir: Path, port: int | None = None, *, settings: Mapping[str, object] | None = None
    ) -> None:
        """Take the folder that all of this server lies in, and the port if it has to be a certain one.

        `settings` are the server's own, and win over ours.
        """
        self.settings = dict(settings or {})
        # Absolute but not resolved: the supervisor may run the command from another folder.
        self.data_dir = data_dir.absolute()
        self._asked_port = port
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The port of 127.0.0.1; of a server that was prepared before, the one it has kept."""
        if self._port is None:
            self._port = self._asked_port or int((self.data_dir / "port").read_text())
        return self._port

    @property
    def log_file(self) -> Path:
        """Where a server that was started by `start` writes its log."""
        return self.data_dir / f"{self.name}.log"

    @abstractmethod
    def command(self) -> list[str]:
        """Give the command that runs the server in the foreground, after `prepare`."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Say whether the server answers its clients now."""

    @abstractmethod
    def _prepare_data(self) -> None:
        """Make the data folder's content where it is missing; called with `port` known."""

    def environment(self) -> dict[str, str]:
        """Give the environment variables that the command needs; nothing else is passed to it."""
        return {"LC_ALL": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"}

    def prepare(self) -> None:
        """Make the data folder and fix the port.

        Raises LocalServerError when a part is missing. Anything that was there is kept.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._port = self._asked_port or kept_port(self.data_dir / "port", self.usual_port)
        self._prepare_data()

    def start(self) -> None:
        """Run the server as a child of this process and return when it answers.

        Raises StartError, with the end of its log, when it ends or stays silent for three minutes.
        """
        self.prepare()
        while not self._started():
            if self._asked_port is not None or is_free(self.port):
                raise StartError(f"{self.name} ended at once: {self._last_words()}", f"Read {self.log_file}.")
            # Somebody took the port between our look and the server's start: go on with another one.
            self._port = free_port()
            (self.data_dir / "port").write_text(f"{self._port}\n")
            self._prepare_data()

    def _started(self) -> bool:
        """Start the process; say whether it came up (True) or ended by itself (False)."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                # Ctrl-C in the terminal is for the process that started us; it then stops us in order.
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None:
            if self.is_ready():
                return True
            if time.monotonic() > deadline:
                self.stop()
                raise StartError(
                    f"{self.name} did not answer within {_START_SECONDS:.0f} s: {self._last_words()}",
                    f"Read {self.log_file}.",
                )
            time.sleep(_POLL_SECONDS)
        self._process = None
        return False

    def _last_words(self) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines()
        return " | ".join(lines[-3:]) or "it wrote nothing"

    @property
    def pid(self) -> int | None:
        """The process id of the server that `start` started, None when there is none."""
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """Ask the server to end, wait for it, kill it when it takes too long. Nothing when not started."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(self.stop_signal)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
