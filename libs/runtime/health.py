"""Liveness and readiness: ready means that work gets done, not that a connection is open."""

from collections.abc import Callable

Probe = Callable[[], str | None]


class Health:
    """The probes of one process, and what state it is in.

    A probe returns None when all is well, else a sentence that says what stands still and since when. A
    state is told the same way, and is no fault: a paused projector does what it was told, and is ready.
    """

    def __init__(self) -> None:
        self._probes: dict[str, Probe] = {}
        self._states: dict[str, Probe] = {}
        self._prefix = ""

    def part(self, name: str) -> "Health":
        """Return the health of a part: its probes and states are the whole's, as `name.…`."""
        part = Health()
        part._probes, part._states = self._probes, self._states
        part._prefix = f"{self._prefix}{name}."
        return part

    def add(self, name: str, probe: Probe) -> None:
        """Take `probe` into readiness under `name`; a second one of that name replaces the first."""
        self._probes[self._prefix + name] = probe

    def add_state(self, name: str, probe: Probe) -> None:
        """Tell what `probe` returns beside readiness, without a say in it; the last of a name counts."""
        self._states[self._prefix + name] = probe

    def looked_at(self) -> dict[str, str | None]:
        """Return probe name → what is wrong, or None."""
        return {name: probe() for name, probe in self._probes.items()}

    def problems(self) -> dict[str, str]:
        """Return probe name → what is wrong, empty when the process is ready."""
        return {name: problem for name, problem in self.looked_at().items() if problem is not None}

    def states(self) -> dict[str, str]:
        """Return state name → what it is, such as `paused by operator`; what does not apply is left out."""
        found = {name: probe() for name, probe in self._states.items()}
        return {name: state for name, state in found.items() if state is not None}
