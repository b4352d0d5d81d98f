"""Kafka's reset scenarios: where each of them leads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.errors import OperationRefused
from operations.replay import (
    Offsets,
    Scenario,
    ScenarioKind,
    aims,
    parse_duration,
    parse_partitions,
    read_offsets_file,
)

TOPIC = {
    0: Offsets(beginning=10, end=100, committed=40, at_time=70),
    1: Offsets(beginning=0, end=5, committed=None, at_time=None),
    2: Offsets(beginning=7, end=7, committed=7, at_time=None),
}
MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (Scenario(ScenarioKind.EARLIEST), {0: 10, 1: 0, 2: 7}),
        (Scenario(ScenarioKind.LATEST), {0: 100, 1: 5, 2: 7}),
        (Scenario(ScenarioKind.CURRENT), {0: 40, 1: 5, 2: 7}),
        (Scenario(ScenarioKind.DATETIME, moment=MOMENT), {0: 70, 1: 5, 2: 7}),
        (Scenario(ScenarioKind.OFFSET, number=6), {0: 10, 1: 5, 2: 7}),
        (Scenario(ScenarioKind.OFFSET, number=50), {0: 50, 1: 5, 2: 7}),
        (Scenario(ScenarioKind.SHIFT, frozenset({0, 2}), number=-15), {0: 25, 2: 7}),
        (Scenario(ScenarioKind.SHIFT, frozenset({0}), number=-500), {0: 10}),
        (Scenario(ScenarioKind.SHIFT, frozenset({0}), number=500), {0: 100}),
        (Scenario(ScenarioKind.FILE, offsets={0: 3, 1: 4}), {0: 10, 1: 4}),
        (Scenario(ScenarioKind.FILE, frozenset({1}), offsets={0: 3, 1: 4}), {1: 4}),
    ],
)
def test_each_scenario_aims_where_kafkas_tool_does(scenario: Scenario, expected: dict[int, int]) -> None:
    """Offsets are moved into the topic's range; what has no time or no commit falls back to the end."""
    assert aims(scenario, TOPIC) == expected


def test_what_is_committed_is_taken_as_it_is() -> None:
    """To-current alone is not moved into the topic's range, as in Kafka's tool."""
    assert aims(Scenario(ScenarioKind.CURRENT), {0: Offsets(50, 60, committed=3)}) == {0: 3}


def test_a_shift_from_nowhere_is_refused() -> None:
    """A partition without a committed offset can't be shifted."""
    with pytest.raises(OperationRefused, match="Partition 1 has no committed offset"):
        aims(Scenario(ScenarioKind.SHIFT, number=-1), TOPIC)


@pytest.mark.parametrize(
    "scenario",
    [Scenario(ScenarioKind.EARLIEST, frozenset({1, 3})), Scenario(ScenarioKind.FILE, offsets={3: 0})],
)
def test_a_partition_that_is_not_there_is_refused(scenario: Scenario) -> None:
    """Nothing is reset where the topic has no such partition."""
    with pytest.raises(OperationRefused, match="no partition 3"):
        aims(scenario, TOPIC)


@given(
    st.builds(
        Scenario,
        st.sampled_from(ScenarioKind),
        st.none() | st.frozensets(st.integers(0, 99)),
        number=st.integers(),
        moment=st.none() | st.datetimes(timezones=st.just(UTC)),
        offsets=st.none() | st.dictionaries(st.integers(0, 99), st.integers(0)),
    )
)
def test_a_scenario_is_carried_on_as_it_was_recorded(scenario: Scenario) -> None:
    """What is kept of a scenario for the record gives the same scenario again."""
    assert Scenario.of_arguments(scenario.arguments()) == scenario


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT15M", timedelta(minutes=15)),
        ("P2D", timedelta(days=2)),
        ("p1dt2h", timedelta(days=1, hours=2)),
        ("PT1H30M2.5S", timedelta(hours=1, minutes=30, seconds=2.5)),
        ("-PT1H", timedelta(hours=-1)),
        ("PT0S", timedelta(0)),
    ],
)
def test_durations_are_written_as_kafka_takes_them(text: str, expected: timedelta) -> None:
    """ISO 8601 durations of days and times are understood."""
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1DT", "15M", "P1M2D", "P1W", "PT1", "PT1H ", "P9999999999D"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """A text that Kafka's tool would not take is refused with an example."""
    with pytest.raises(OperationRefused):
        parse_duration(text)


def test_partitions_are_named_by_their_numbers() -> None:
    """A list of numbers names partitions; anything else is refused."""
    assert parse_partitions("0,3") == {0, 3}
    for text in ("", "0,", "a", "-1", "0 3"):
        with pytest.raises(OperationRefused):
            parse_partitions(text)


def test_a_file_is_read_as_kafkas_tool_writes_it(tmp_path: Path) -> None:
    """Lines are topic,partition,offset, quoted or not, or have the group before them."""
    path = tmp_path / "offsets.csv"
    path.write_text('"orders.events",0,12\norders.events,2,0\n\n')
    assert read_offsets_file(path, "orders.events", "projector.sales") == {0: 12, 2: 0}
    path.write_text("projector.sales,orders.events,0,12\nprojector.other,orders.events,1,3\n")
    assert read_offsets_file(path, "orders.events", "projector.sales") == {0: 12}


@pytest.mark.parametrize(
    "text", ["", "orders.commands,0,1\n", "orders.events,0\n", "orders.events,a,1\n", "g,h,t,0,1\n"]
)
def test_a_file_of_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    """A file that names no offset of this group on this topic, or something else too, resets nothing."""
    path = tmp_path / "offsets.csv"
    path.write_text(text)
    with pytest.raises(OperationRefused, match=r"offsets\.csv"):
        read_offsets_file(path, "orders.events", "projector.sales")
    with pytest.raises(OperationRefused, match="can't be read"):
        read_offsets_file(tmp_path / "missing.csv", "orders.events", "projector.sales")
