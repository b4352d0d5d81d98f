"""Processes that start at once: forked of one that has imported the services.

An import takes seconds, and a test that starts several processes waits for little else. What is forked is a
process like any other: it has its own environment and log, and a kill -9 takes it alone.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from integration.projector.processes import Installation

_FORKING = multiprocessing.get_context("forkserver")
# The main module is pytest, which each process would import otherwise.
_FORKING.set_forkserver_preload(["__main__", "projector.app", "till.app"])


class Forked:
    """A process of `SERVICE ARGUMENT…`, or of Python `code` in its stead, as `subprocess.Popen` gives one."""

    def __init__(
        self,
        service: str,
        *arguments: str,
        environment: Mapping[str, str],
        output: Path,
        code: str | None = None,
    ) -> None:
        # The log is there as soon as the process is.
        output.touch()
        self._process = _FORKING.Process(
            target=_run, args=(service, arguments, dict(environment), output, code)
        )
        self._process.start()

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return status

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self._process.pid is not None and self.poll() is None:
            os.kill(self._process.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(
    service: str, arguments: Sequence[str], environment: dict[str, str], output: Path, code: str | None
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with output.open("ab") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    sys.argv[:] = [service, *arguments]
    if code is None:
        importlib.import_module(f"{service}.app").main()
    else:
        exec(code, {"__name__": "__main__"})  # noqa: S102 - the test's own


class ForkedInstallation(Installation):
    """An installation whose projectors start at once."""

    @contextmanager
    def running(self, name: str, code: str | None = None) -> Iterator[Forked]:
        """Run a projector, or Python `code` in its stead; it is killed at the end if it still runs."""
        environment = {
            **os.environ,
            "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "TILLSTREAM_DATABASE_URL": self.database.dsn("projector"),
            "TILLSTREAM_TOPIC_PREFIX": self.prefix,
            "TILLSTREAM_RETRY_BUDGET": "3",
            "TILLSTREAM_BATCH_RECORDS": "20",
        }
        process = Forked("projector", name, environment=environment, output=self.output(name), code=code)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
