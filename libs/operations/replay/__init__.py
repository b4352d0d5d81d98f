"""Replaying a read model: Kafka's scenarios, what they would do, and their execution."""

from operations.replay.execution import Execution, Left, Reached, Seen, Step
from operations.replay.forecast import Effect, Forecast, forecast
from operations.replay.offsets import Group
from operations.replay.scenarios import (
    Offsets,
    Scenario,
    ScenarioKind,
    aims,
    moment_ago,
    parse_duration,
    parse_partitions,
    read_offsets_file,
)

__all__ = [
    "Effect",
    "Execution",
    "Forecast",
    "Group",
    "Left",
    "Offsets",
    "Reached",
    "Scenario",
    "ScenarioKind",
    "Seen",
    "Step",
    "aims",
    "forecast",
    "moment_ago",
    "parse_duration",
    "parse_partitions",
    "read_offsets_file",
]
