"""Processes that start at once: forked of one that has imported the services.

A service's imports take nearly two seconds of a processor, and most tests start several services. What is
forked is a process like any other: it has its own environment and log, and a kill -9 takes it alone.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(
    [
        # Of a session without workers this is pytest, which each process would import otherwise.
        "__main__",
        "command_service.app",
        "outbox_relay.app",
        "projector.app",
        "query_service.app",
        "till.app",
    ]
)


class ForkedProcess:
    """What `python COMMAND…` would run, used as `subprocess.Popen` is.

    A command begins with `-m` and a module, with `-c` and code, or with a file. Standard error is added to
    `errors`, and standard output too unless it has a file of its own.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        errors: Path,
        output: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        # They are there as soon as the process is.
        files = [output or errors, errors]
        for file in files:
            file.touch()
        place = folder or Path.cwd()
        self._process = _FORKING.Process(target=_run, args=(list(command), dict(environment), place, *files))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        status = self.returncode
        if status is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return status

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(command: list[str], environment: dict[str, str], place: Path, output: Path, errors: Path) -> None:
    os.chdir(place)
    os.environ.clear()
    os.environ.update(environment)
    for stream, file in ((sys.stdout, output), (sys.stderr, errors)):
        with file.open("ab") as log:
            os.dup2(log.fileno(), stream.fileno())
    match command:
        case ["-m", module, *arguments]:
            sys.argv[:] = [module, *arguments]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case ["-c", code, *arguments]:
            sys.argv[:] = ["-c", *arguments]
            exec(code, {"__name__": "__main__"})  # noqa: S102 - the test's own
        case [program, *arguments]:
            sys.argv[:] = [program, *arguments]
            runpy.run_path(program, run_name="__main__")
