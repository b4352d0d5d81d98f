"""Services as the processes they are in production."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.forked import ForkedProcess
from harness.waiting import eventually
from local.servers import free_port


class ServiceProcess:
    """`python -m NAME ARGUMENTS…` with its settings in the environment; killed at the end of the block.

    `through` is what Python is told to run instead of `-m`: a program that takes name and arguments. It is
    forked of a process that has imported the services, unless the start itself is looked at: `afresh`.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *arguments: str,
        through: Sequence[str] = ("-m",),
        afresh: bool = False,
        **settings: str,
    ) -> None:
        self.name = name
        self._command = [*through, name, *arguments]
        self._afresh = afresh
        self.port = free_port()
        self._log = folder / f"{name}-{'-'.join(arguments)}{self.port}.log"
        self._settings = {f"TILLSTREAM_{key.upper()}": value for key, value in settings.items()}
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None

    @property
    def log(self) -> str:
        """What the process has logged so far."""
        return self._log.read_text()

    @property
    def process(self) -> subprocess.Popen[bytes] | ForkedProcess:
        """The running process."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process

    def start(self) -> Self:
        environment = {**os.environ, "TILLSTREAM_HTTP_PORT": str(self.port), **self._settings}
        if self._afresh:
            command = [sys.executable, *self._command]
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        else:
            self._process = ForkedProcess(self._command, environment=environment, errors=self._log)
        return self

    def get(self, path: str) -> tuple[int, str]:
        """Give the status and body of the process's answer; status 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    async def ready(self) -> Self:
        """Wait until the process says that it is ready."""

        async def answer() -> bool:
            assert self.process.poll() is None, f"{self.name} ended:\n{self.log[-4000:]}"
            status, body = await asyncio.to_thread(self.get, "/readyz")
            return status == 200 and json.loads(body)["ready"]

        await eventually(answer)
        return self

    async def ended(self, deadline: float = 60.0) -> int:
        """Wait for the process's end and give its exit status."""

        async def status() -> tuple[int] | None:
            code = self.process.poll()
            return None if code is None else (code,)

        return (await eventually(status, deadline=deadline))[0]

    async def stop(self) -> int:
        """Ask the process to stop and give its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    def kill(self) -> None:
        """End the process without a chance to clean up."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if error is not None:
            sys.stderr.write(f"--- {self.name}\n{self.log[-8000:]}\n")
