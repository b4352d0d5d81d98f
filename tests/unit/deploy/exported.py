"""What the services export, by name and label, and what an expression of PromQL reads."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

import command_service.app
import outbox_relay.app
import projector.app
import query_service.app

DEPLOY = Path(__file__).parents[3] / "deploy"
SERVICES = (command_service.app, outbox_relay.app, projector.app, query_service.app)
# Prometheus gives these to each target: docs/monitoring.md.
TARGET_LABELS = {"job", "instance", "service"}
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
# Grafana's own, in the form that a query has when it is sent.
_GRAFANA = {"$__rate_interval": "5m", "$job": "tillstream"}


def exported() -> dict[str, set[str]]:
    """Give each time series' name and its labels, as the services' registries declare them."""
    found = {"up": set[str]()}
    for collector in REGISTRY._collector_to_names:
        if isinstance(collector, MetricWrapperBase):
            for suffix in _SUFFIXES[collector._type]:
                labels = {"le"} if suffix == "_bucket" else set()
                found[f"{collector._name}{suffix}"] = {*collector._labelnames, *labels}
        else:
            # The process's own: memory, CPU, start.
            for name in REGISTRY._collector_to_names[collector]:
                found[name] = set()
    return found


def alerts() -> list[dict[str, Any]]:
    """Give the alert rules."""
    document = yaml.safe_load((DEPLOY / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Give the dashboard's panels that show something."""
    document = json.loads((DEPLOY / "dashboard.json").read_text())
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Give all expressions of PromQL, each with where it stands."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def parsed(expression: str) -> promql.Expr:
    """Parse an expression, with the types of its parts checked. Raises ValueError."""
    for name, value in _GRAFANA.items():
        expression = expression.replace(name, value)
    return promql.parse(expression)


def parts(expression: str) -> list[Any]:
    """Give an expression's parts, at any depth."""
    found: list[Any] = []
    promql.walk(parsed(expression), found.append)
    return found


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Give the name of each time series that an expression reads, with the labels it is chosen by."""
    for part in parts(expression):
        if isinstance(part, promql.VectorSelector):
            yield part.name, {matcher.name for matcher in part.matchers.matchers}


def labels_spoken_of(expression: str) -> set[str]:
    """Give the labels that an expression's `by`, `on` and the like name, but not those it makes itself."""
    made = set(re.findall(r'label_replace\(.*?"(\w+)", "\$', expression, flags=re.DOTALL))
    spoken = re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right) *\(([^)]*)\)", expression)
    return {label.strip() for labels in spoken for label in labels.split(",")} - made


def labels_there(expression: str, known: Mapping[str, set[str]]) -> set[str]:
    """Give the labels that the time series of an expression have."""
    return TARGET_LABELS.union(*(known[name] for name, _ in selectors(expression)))
