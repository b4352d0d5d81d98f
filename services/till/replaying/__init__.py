"""Replaying a read model: Kafka's scenarios, what they would do, and their execution."""

from till.replaying.execution import Execution
from till.replaying.forecast import Effect, Forecast, forecast
from till.replaying.offsets import Group
from till.replaying.scenarios import (
    Kind,
    Offsets,
    Scenario,
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
    "Kind",
    "Offsets",
    "Scenario",
    "aims",
    "forecast",
    "moment_ago",
    "parse_duration",
    "parse_partitions",
    "read_offsets_file",
]
