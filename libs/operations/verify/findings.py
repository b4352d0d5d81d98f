"""What a verification has found so far."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from eventstore import StreamKey

LOG = "log"
TOPIC = "topic"


class Field(NamedTuple):
    """One field of a row as it was found, and as the log has it; None where there is no such row."""

    field: str
    found: Any
    log: Any
    differs: bool


class Mismatch(NamedTuple):
    """One thing that is not as the log has it: where (`log`, a read model or `topic`), and in what."""

    where: str
    what: str
    key: StreamKey | None = None
    fields: Sequence[Field] = ()


@dataclass
class Tally:
    """What was looked at in one place: how many orders (on the topic: records), and what came of it."""

    checked: int = 0
    differences: int = 0
    parked: int = 0
    # Behind the log, and not seen to catch up: neither right nor wrong.
    behind: int = 0


@dataclass
class Findings:
    """The first difference of each place, counts per place, and what kept the rest from being checked."""

    firsts: dict[str, Mismatch] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    unchecked: str | None = None

    def at(self, where: str) -> Tally:
        """Return the counts of one place."""
        return self.tallies.setdefault(where, Tally())

    def differ(self, difference: Mismatch) -> None:
        """Count a difference, and keep the first."""
        self.firsts.setdefault(difference.where, difference)
        self.at(difference.where).differences += 1

    def forget(self, where: str) -> None:
        """Forget what was found in one place: it proves nothing."""
        self.firsts.pop(where, None)
        self.tallies.pop(where, None)

    def counts(self) -> dict[str, Any]:
        """Return what was looked at and what came of it, as JSON values."""
        return {
            "equal": self.status == 0,
            "unchecked": self.unchecked,
            "counts": {where: asdict(tally) for where, tally in self.tallies.items()},
        }

    @property
    def first(self) -> Mismatch | None:
        """The first difference of all."""
        return next(iter(self.firsts.values()), None)

    @property
    def status(self) -> int:
        """The exit status: 0 equal, 1 different, 2 not all could be checked."""
        if self.firsts:
            return 1
        return 2 if self.unchecked or any(tally.behind for tally in self.tallies.values()) else 0
