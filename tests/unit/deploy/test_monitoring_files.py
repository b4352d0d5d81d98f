"""The alert rules and the dashboard against what the services export."""

import json
import re

import pytest

from unit.deploy.exported import (
    DEPLOY,
    SERVICES,
    TARGET_LABELS,
    alerts,
    exported,
    expressions,
    labels_spoken_of,
    labels_there,
    panels,
    parsed,
    selectors,
)

OURS = sorted(name for name in exported() if name.startswith("tillstream_"))


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_an_expression_reads_what_is_exported(where: str, expression: str) -> None:
    """Each expression parses, its types fit, and every name and label in it is one that a service exports."""
    assert SERVICES
    parsed(expression)
    known = exported()
    found = dict(selectors(expression))
    assert found, where
    for name, labels in found.items():
        assert name in known, where
        assert labels <= known[name] | TARGET_LABELS, (where, name)
    assert labels_spoken_of(expression) <= labels_there(expression, known), where


def test_an_unknown_name_or_a_wrong_type_is_seen() -> None:
    """The checks see through aggregations and functions, and refuse what Prometheus would refuse."""
    assert dict(selectors("max(rate(a_total{x='1'}[5m])) unless on (y) b == 1")) == {
        "a_total": {"x"},
        "b": set(),
    }
    assert labels_spoken_of('label_replace(sum by (job, a) (x), "new", "$1", "a", "(.*)") > on (new) y') == {
        "job",
        "a",
    }
    for wrong in ("rate(a)", "sum by (job rate(a[5m])", "max(a) >", "no_function(a)"):
        with pytest.raises(ValueError, match=r"\w"):
            parsed(wrong)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    """Each alert waits a while, has a severity, says what is wrong and what to do, by labels it has."""
    assert re.fullmatch(r"\d+[mh]", str(rule["for"]))
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "action"}
    told = " ".join(rule["annotations"].values())
    named = set(re.findall(r"\$labels\.(\w+)", told))
    expression = str(rule["expr"])
    left = labels_spoken_of(expression) or labels_there(expression, exported())
    assert named <= left
    # As Prometheus' templates close.
    assert (
        told.count("{{")
        == told.count("}}")
        == len(re.findall(r"\{\{ \$(?:labels\.\w+|value)[ |\w]*\}\}", told))
    )


def test_alert_names_are_ours_alone() -> None:
    """No two alerts share a name."""
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names))
    assert all(name.startswith("Tillstream") for name in names)


@pytest.mark.parametrize("name", ["tillstream_consumer_lag_records", "tillstream_consumer_oldest_seconds"])
def test_commands_that_wait_are_watched_by_partition(name: str) -> None:
    """Their number and their age have a panel that shows each partition; how old they get is an alert too."""
    found = [
        where
        for where, expression in expressions()
        for read, labels in selectors(expression)
        if read == name and "topic" in labels and {"topic", "partition"} <= labels_spoken_of(expression)
    ]
    assert len([where for where in found if not where.startswith("Tillstream")]) == 1
    assert ("TillstreamCommandsWait" in found) == (name == "tillstream_consumer_oldest_seconds")


@pytest.mark.parametrize("name", OURS)
def test_what_is_exported_is_used(name: str) -> None:
    """Each metric of ours is on the dashboard or in an alert; else nobody would see it."""
    histogram = re.sub(r"_(sum|count)$", "_bucket", name)
    used = {found for _, expression in expressions() for found, _ in selectors(expression)}
    assert {name, histogram} & used or name in LOOKED_AT_BY_HAND


# For one who looks into a projector's cost, not for a dashboard.
LOOKED_AT_BY_HAND = {"tillstream_projected_events_total", "tillstream_projected_loads_total"}


def test_the_dashboard_can_be_imported() -> None:
    """Panels have ids of their own, do not overlap, and leave the data source to whoever imports them."""
    document = json.loads((DEPLOY / "dashboard.json").read_text())
    everything = document["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    cells = [
        (x, y)
        for panel in everything
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}"
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert {"datasource", "job"} == {each["name"] for each in document["templating"]["list"]}
