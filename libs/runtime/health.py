"""Liveness and readiness: ready means that work gets done, not that a connection is open."""

from collections.abc import Callable

Probe = Callable[[], str | None]


class Health:
    """The probes of one process.

    A probe returns None when all is well, else a sentence that says what stands still and since when.
    """

    def __init__(self) -> None:
        self._probes: dict[str, Probe] = {}

    def add(self, name: str, probe: Probe) -> None:
        """Take `probe` into readiness under `name`; a second one of that name replaces the first."""
        self._probes[name] = probe

    def problems(self) -> dict[str, str]:
        """Return probe name → what is wrong, empty when the process is ready."""
        found = {name: probe() for name, probe in self._probes.items()}
        return {name: problem for name, problem in found.items() if problem is not None}
