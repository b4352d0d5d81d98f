"""The scenarios of Kafka's own reset tool, and the offsets each of them gives.

The rules are those of kafka-consumer-groups --reset-offsets (OffsetsUtils in Kafka's own source): an offset
out of the topic's range is moved to the nearer end of it, but to-current takes what is committed as it is; a
time after the last record means the end; without a committed offset to-current means the end, and a shift
fails.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Self

from operations.errors import NotFound, OperationRefused


class ScenarioKind(StrEnum):
    """What is asked for; the names are Kafka's."""

    EARLIEST = "to-earliest"
    LATEST = "to-latest"
    CURRENT = "to-current"
    DATETIME = "to-datetime"
    SHIFT = "shift-by"
    OFFSET = "to-offset"
    FILE = "from-file"


class Offsets(NamedTuple):
    """What Kafka knows of a partition; `at_time` is the first offset at or after the scenario's time."""

    beginning: int
    end: int
    committed: int | None
    at_time: int | None = None


@dataclass(frozen=True)
class Scenario:
    """Where to, on which partitions (None: all); `number`, `moment`, `offsets` are as the kind needs them."""

    kind: ScenarioKind
    partitions: frozenset[int] | None = None
    number: int = 0
    moment: datetime | None = None
    offsets: Mapping[int, int] | None = None

    @property
    def timestamp(self) -> int | None:
        """The time to look up, in milliseconds."""
        return None if self.moment is None else int(self.moment.timestamp() * 1000)

    def arguments(self) -> dict[str, object]:
        """Give it as JSON values, for the record."""
        return {
            "scenario": self.kind.value,
            "partitions": None if self.partitions is None else sorted(self.partitions),
            "number": self.number,
            "moment": None if self.moment is None else self.moment.isoformat(),
            "offsets": None if self.offsets is None else {str(at): to for at, to in self.offsets.items()},
        }

    @classmethod
    def of_arguments(cls, arguments: Mapping[str, object]) -> Self:
        """Take it from the record."""
        partitions, moment, offsets = (arguments[name] for name in ("partitions", "moment", "offsets"))
        return cls(
            ScenarioKind(str(arguments["scenario"])),
            frozenset(map(int, partitions)) if isinstance(partitions, list) else None,
            int(str(arguments["number"])),
            datetime.fromisoformat(moment) if isinstance(moment, str) else None,
            {int(at): int(to) for at, to in offsets.items()} if isinstance(offsets, dict) else None,
        )


def aims(scenario: Scenario, topic: Mapping[int, Offsets]) -> dict[int, int]:
    """Return partition → the offset it is to be reset to.

    Raises NotFound for a partition that the topic has not, and for a shift from where nothing is
    committed.
    """
    wanted = set(topic) if scenario.partitions is None else scenario.partitions
    if scenario.offsets is not None:
        # As in Kafka's tool a file names its partitions itself.
        wanted = set(scenario.offsets) & wanted if scenario.partitions is not None else set(scenario.offsets)
    if unknown := wanted - topic.keys():
        raise NotFound(
            "no_partition",
            f"The topic has no partition {', '.join(map(str, sorted(unknown)))}.",
            partitions=len(topic),
        )
    return {partition: _aim(scenario, partition, topic[partition]) for partition in sorted(wanted)}


def _aim(scenario: Scenario, partition: int, known: Offsets) -> int:
    match scenario.kind:
        case ScenarioKind.EARLIEST:
            aim = known.beginning
        case ScenarioKind.LATEST:
            aim = known.end
        case ScenarioKind.CURRENT:
            aim = known.end if known.committed is None else known.committed
        case ScenarioKind.DATETIME:
            aim = known.end if known.at_time is None else known.at_time
        case ScenarioKind.OFFSET:
            aim = _within(known, scenario.number)
        case ScenarioKind.FILE:
            aim = _within(known, (scenario.offsets or {})[partition])
        case ScenarioKind.SHIFT:
            if known.committed is None:
                raise NotFound(
                    "no_committed_offset", f"Partition {partition} has no committed offset to shift from."
                )
            aim = _within(known, known.committed + scenario.number)
    return aim


def _within(known: Offsets, offset: int) -> int:
    return max(known.beginning, min(offset, known.end))


# Java's Duration.parse, which Kafka's tool uses: days and times, no months.
_DURATION = re.compile(
    r"(?P<sign>[-+])?P(?:(?P<days>[-+]?\d+)D)?"
    r"(?:T(?:(?P<hours>[-+]?\d+)H)?(?:(?P<minutes>[-+]?\d+)M)?(?:(?P<seconds>[-+]?\d+(?:[.,]\d{0,9})?)S)?)?",
    re.IGNORECASE | re.ASCII,
)


def parse_duration(text: str) -> timedelta:
    """Return the duration that an ISO 8601 text such as PT1H30M or P2D names, else raise OperationRefused."""
    found = _DURATION.fullmatch(text)
    parts = {} if found is None else {name: part for name, part in found.groupdict().items() if part}
    sign = -1 if parts.pop("sign", "+") == "-" else 1
    if not parts or text[-1] in "Tt":
        raise OperationRefused("no_duration", f"{text!r} is no duration.")
    try:
        return sign * timedelta(**{name: float(part.replace(",", ".")) for name, part in parts.items()})
    except OverflowError:
        raise OperationRefused("before_all_time", f"{text!r} is too long.") from None


def moment_ago(duration: timedelta) -> datetime:
    """Return the time that was `duration` ago. Raises OperationRefused before there were any calendars."""
    try:
        return datetime.now(UTC) - duration
    except OverflowError:
        raise OperationRefused("before_all_time", f"{duration} ago is no time.") from None


def parse_partitions(text: str) -> frozenset[int]:
    """Return the partitions that a text such as 0,3 names. Raises OperationRefused for another."""
    if not re.fullmatch(r"\d+(,\d+)*", text, re.ASCII):
        raise OperationRefused("no_partitions", f"{text!r} names no partitions.")
    return frozenset(map(int, text.split(",")))


def read_offsets_file(path: Path, topic: str, group: str) -> dict[int, int]:
    """Return partition → offset of a file as Kafka's tool reads and, with --export, writes it.

    Its lines are topic,partition,offset, or the same with the group before them; lines of other groups are
    passed over. Raises OperationRefused for another file, and for another topic.
    """
    offsets = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, line in enumerate(csv.reader(file), start=1):
                if not line:
                    continue
                *whose, of_topic, partition, offset = line
                if len(whose) == 1 and whose != [group]:
                    continue
                if len(whose) > 1 or of_topic != topic:
                    raise OperationRefused("no_offsets_file", f"{path}, line {number} is not about {topic}.")
                offsets[int(partition)] = int(offset)
    except (OSError, ValueError, csv.Error) as error:
        raise OperationRefused("no_offsets_file", f"{path} can't be read: {error}.") from error
    if not offsets:
        raise OperationRefused("no_offsets_file", f"{path} names no offsets of {group}.")
    return offsets
