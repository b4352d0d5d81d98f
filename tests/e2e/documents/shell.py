"""The shell in which a reader does what a page says: what one command sets, the next one finds set."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from harness.forked import ForkedProcess
from harness.waiting import eventually_now

# Nothing that a shell would have to do with it but to put in its variables.
_PLAIN_TILL = re.compile(r"till( (\\\n|[^|&;<>()`\n])*)?")
_COMMENT = re.compile(r"\s+# .*$", re.MULTILINE)
DEADLINE = 180.0


class Shell:
    """Runs one command after another in a folder, `till` forked of a process that has imported it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = dict(environment)
        self._state = folder / ".shell"
        self._state.write_text("")
        self._commands = 0

    def run(self, command: str, until: Callable[[str], bool] | None = None) -> tuple[int, str]:
        """Run a command to its end; return its exit status and what it printed, errors too.

        `until` is for one that doesn't end: Ctrl-C is pressed as soon as that is true of what it has printed.
        """
        self._begin()
        command = _COMMENT.sub("", command)
        process = self._till(command) if _PLAIN_TILL.fullmatch(command) else self._bash(command)
        try:
            if until is not None:
                eventually_now(lambda: until(self._printed.read_text()), deadline=DEADLINE)
                self._interrupt(process)
            status = process.wait(DEADLINE)
        finally:
            self._end(process)
        return status, self._printed.read_text()

    def till(self, *arguments: str) -> tuple[int, str]:
        """Run a verb of till."""
        self._begin()
        process = self._forked(list(arguments), self._variables())
        try:
            return process.wait(DEADLINE), self._printed.read_text()
        finally:
            process.kill()

    def _begin(self) -> None:
        """Have the next command print into a file of its own: nothing that is left of another does."""
        self._commands += 1
        self._printed = self.folder / f".printed-{self._commands}"
        self._printed.write_text("")

    def _till(self, command: str) -> ForkedProcess:
        told = self._ask(f"printf '%s\\0' {command.removeprefix('till')}")
        return self._forked(told.split("\0")[:-1], self._variables())

    def _forked(self, arguments: list[str], environment: Mapping[str, str]) -> ForkedProcess:
        return ForkedProcess(
            ["-m", "till", *[each for each in arguments if each]],
            environment=environment,
            errors=self._printed,
            folder=self.folder,
        )

    def _bash(self, command: str) -> "subprocess.Popen[bytes]":
        keep = f"{{ set +o; declare -p; declare -f; }} > {self._state}"
        script = f". {self._state} 2>/dev/null\n{command}\nstatus=$?\n{keep}\nexit $status"
        with self._printed.open("wb") as printed:
            return subprocess.Popen(
                ["bash", "-c", script],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                start_new_session=True,
            )

    @staticmethod
    def _end(process: "ForkedProcess | subprocess.Popen[bytes]") -> None:
        process.kill()
        if not isinstance(process, ForkedProcess):
            # And what it has started.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    @staticmethod
    def _interrupt(process: "ForkedProcess | subprocess.Popen[bytes]") -> None:
        if isinstance(process, ForkedProcess):
            process.send_signal(signal.SIGINT)
        else:
            os.killpg(process.pid, signal.SIGINT)

    def _variables(self) -> dict[str, str]:
        pairs = self._ask("env -0").split("\0")
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    def _ask(self, command: str) -> str:
        return subprocess.run(
            ["bash", "-c", f". {self._state} 2>/dev/null\n{command}"],
            cwd=self.folder,
            env=self._environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
